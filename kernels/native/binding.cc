// tfjs's binding of TensorFlow to Node, and one thing beside it: ops that were recorded become a function of TensorFlow, which then runs
// them in one call. Built by `npm run setup` from the sources that the package @tensorflow/tfjs-node-gpu ships.
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "tensorflow/c/c_api.h"
#include "tensorflow/c/eager/c_api.h"

namespace {

// The context in which tfjs's backend computes: it is made once, and functions have to be registered in it.
TFE_Context* eager_context = nullptr;

TFE_Context* NewContext(const TFE_ContextOptions* options, TF_Status* status) {
  return eager_context = TFE_NewContext(options, status);
}

}  // namespace

#define TFE_NewContext NewContext
#include "tfjs_backend.cc"
#undef TFE_NewContext

// Registered below instead, with what this file adds.
#undef NAPI_MODULE
#define NAPI_MODULE(name, init)
#include "tfjs_binding.cc"
#undef NAPI_MODULE

namespace {

using Status = std::unique_ptr<TF_Status, decltype(&TF_DeleteStatus)>;
using Graph = std::unique_ptr<TF_Graph, decltype(&TF_DeleteGraph)>;

Status NewStatus() { return Status(TF_NewStatus(), TF_DeleteStatus); }

// What a call below throws in JavaScript.
struct Failure {
  std::string message;
};

void Check(TF_Status* status, const std::string& doing) {
  if (TF_GetCode(status) != TF_OK) throw Failure{doing + ": " + TF_Message(status)};
}

void Check(napi_status status, const char* what) {
  if (status != napi_ok) throw Failure{std::string("compileFunction: ") + what};
}

napi_value Property(napi_env env, napi_value object, const char* name) {
  napi_value value;
  Check(napi_get_named_property(env, object, name, &value), name);
  return value;
}

napi_value Element(napi_env env, napi_value array, uint32_t i) {
  napi_value value;
  Check(napi_get_element(env, array, i, &value), "an element");
  return value;
}

uint32_t Length(napi_env env, napi_value array) {
  uint32_t length;
  Check(napi_get_array_length(env, array, &length), "expected an array");
  return length;
}

std::string Text(napi_env env, napi_value value) {
  std::string text;
  Check(tfnodejs::GetStringParam(env, value, text), "expected a text");
  return text;
}

int64_t Integer(napi_env env, napi_value value) {
  int64_t number;
  Check(napi_get_value_int64(env, value, &number), "expected a number");
  return number;
}

bool Boolean(napi_env env, napi_value value) {
  bool truth;
  Check(napi_get_value_bool(env, value, &truth), "expected a boolean");
  return truth;
}

std::vector<int64_t> Integers(napi_env env, napi_value array) {
  std::vector<int64_t> numbers(Length(env, array));
  for (size_t i = 0; i < numbers.size(); i++) numbers[i] = Integer(env, Element(env, array, i));
  return numbers;
}

void SetAttribute(napi_env env, TF_OperationDescription* description, napi_value attribute) {
  const std::string name = Text(env, Property(env, attribute, "name"));
  const napi_value value = Property(env, attribute, "value");
  switch (Integer(env, Property(env, attribute, "type"))) {
    case TF_ATTR_TYPE:
      return TF_SetAttrType(description, name.c_str(), static_cast<TF_DataType>(Integer(env, value)));
    case TF_ATTR_BOOL:
      return TF_SetAttrBool(description, name.c_str(), Boolean(env, value));
    case TF_ATTR_INT:
      return TF_SetAttrInt(description, name.c_str(), Integer(env, value));
    case TF_ATTR_STRING: {
      const std::string text = Text(env, value);
      return TF_SetAttrString(description, name.c_str(), text.data(), text.size());
    }
    default:
      throw Failure{"attribute " + name + ": expected a type, a boolean, an integer or a text"};
  }
}

// `{ type, shape, values }`, with numbers as a typed array.
void SetConstant(napi_env env, TF_OperationDescription* description, napi_value constant) {
  const auto type = static_cast<TF_DataType>(Integer(env, Property(env, constant, "type")));
  const std::vector<int64_t> shape = Integers(env, Property(env, constant, "shape"));
  size_t length, bytes, offset;
  napi_typedarray_type kind;
  void* data;
  napi_value buffer;
  Check(napi_get_typedarray_info(env, Property(env, constant, "values"), &kind, &length, &data, &buffer, &offset),
        "expected a typed array");
  bytes = length * TF_DataTypeSize(type);
  std::unique_ptr<TF_Tensor, decltype(&TF_DeleteTensor)> tensor(
      TF_AllocateTensor(type, shape.data(), shape.size(), bytes), TF_DeleteTensor);
  std::memcpy(TF_TensorData(tensor.get()), data, bytes);
  Status status = NewStatus();
  TF_SetAttrType(description, "dtype", type);
  TF_SetAttrTensor(description, "value", tensor.get(), status.get());
  Check(status.get(), "a constant");
}

// compileFunction(name, types, ops, results): registers a function whose arguments have these types (TensorFlow's numbers). Values are
// numbered: the arguments, then the outputs of each op in turn. An op is `{ name, attributes, inputs, listed, outputs, effect, constant }`: numbers
// of values it reads, how many of these, the first ones, are one list, how many it makes, whether it changes one in place (those before it are then done before it, those after it
// afterwards), and what a Const holds. `results` are the numbers of the values that the function returns.
void Compile(napi_env env, napi_value* arguments) {
  if (eager_context == nullptr) throw Failure{"compileFunction: TensorFlow has no context yet"};
  const std::string name = Text(env, arguments[0]);
  Status status = NewStatus();
  Graph graph(TF_NewGraph(), TF_DeleteGraph);
  std::vector<TF_Output> values;

  const std::vector<int64_t> types = Integers(env, arguments[1]);
  for (size_t i = 0; i < types.size(); i++) {
    TF_OperationDescription* description =
        TF_NewOperation(graph.get(), "Placeholder", ("argument" + std::to_string(i)).c_str());
    TF_SetAttrType(description, "dtype", static_cast<TF_DataType>(types[i]));
    TF_Operation* operation = TF_FinishOperation(description, status.get());
    Check(status.get(), "argument " + std::to_string(i));
    values.push_back({operation, 0});
  }
  const std::vector<TF_Output> inputs = values;
  const auto value = [&](int64_t number) {
    if (number < 0 || number >= static_cast<int64_t>(values.size()))
      throw Failure{"compileFunction: there is no value " + std::to_string(number)};
    return values[number];
  };

  std::vector<const TF_Operation*> operations;
  std::vector<const TF_Operation*> effects;
  // Ops since the last one with an effect.
  std::vector<TF_Operation*> since;
  TF_Operation* last_effect = nullptr;
  const uint32_t count = Length(env, arguments[2]);
  for (uint32_t i = 0; i < count; i++) {
    const napi_value op = Element(env, arguments[2], i);
    const std::string op_name = Text(env, Property(env, op, "name"));
    const std::string label = op_name + std::to_string(i);
    TF_OperationDescription* description = TF_NewOperation(graph.get(), op_name.c_str(), label.c_str());
    std::vector<TF_Output> read;
    for (const int64_t number : Integers(env, Property(env, op, "inputs"))) read.push_back(value(number));
    const size_t listed = Integer(env, Property(env, op, "listed"));
    if (listed > read.size()) throw Failure{label + ": a list longer than its inputs"};
    if (listed > 0) TF_AddInputList(description, read.data(), listed);
    for (size_t k = listed; k < read.size(); k++) TF_AddInput(description, read[k]);
    const napi_value attributes = Property(env, op, "attributes");
    for (uint32_t k = 0; k < Length(env, attributes); k++) SetAttribute(env, description, Element(env, attributes, k));
    if (op_name == "Const") SetConstant(env, description, Property(env, op, "constant"));
    const bool effect = Boolean(env, Property(env, op, "effect"));
    if (effect)
      for (TF_Operation* earlier : since) TF_AddControlInput(description, earlier);
    if (last_effect != nullptr && op_name != "Const") TF_AddControlInput(description, last_effect);
    TF_Operation* operation = TF_FinishOperation(description, status.get());
    Check(status.get(), label);
    if (effect) {
      last_effect = operation;
      effects.push_back(operation);
      since.clear();
    } else {
      since.push_back(operation);
    }
    operations.push_back(operation);
    const int64_t outputs = Integer(env, Property(env, op, "outputs"));
    for (int64_t k = 0; k < outputs; k++) values.push_back({operation, static_cast<int>(k)});
  }

  std::vector<TF_Output> results;
  for (const int64_t number : Integers(env, arguments[3])) results.push_back(value(number));
  std::unique_ptr<TF_Function, decltype(&TF_DeleteFunction)> function(
      TF_GraphToFunctionWithControlOutputs(graph.get(), name.c_str(), false, operations.size(), operations.data(),
                                           inputs.size(), inputs.data(), results.size(), results.data(), nullptr,
                                           effects.size(), effects.data(), nullptr, nullptr, nullptr, status.get()),
      TF_DeleteFunction);
  Check(status.get(), name);
  TFE_ContextAddFunction(eager_context, function.get(), status.get());
  Check(status.get(), name);
}

void Remove(napi_env env, napi_value* arguments) {
  Status status = NewStatus();
  const std::string name = Text(env, arguments[0]);
  TFE_ContextRemoveFunction(eager_context, name.c_str(), status.get());
  Check(status.get(), name);
}

template <void (*call)(napi_env, napi_value*), size_t expected>
napi_value Method(napi_env env, napi_callback_info info) {
  napi_value arguments[expected];
  size_t count = expected;
  napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr);
  try {
    if (count < expected) throw Failure{"expected " + std::to_string(expected) + " arguments"};
    call(env, arguments);
  } catch (const Failure& failure) {
    napi_throw_error(env, nullptr, failure.message.c_str());
  }
  return nullptr;
}

napi_value Initialize(napi_env env, napi_value exports) {
  exports = tfnodejs::InitTFNodeJSBinding(env, exports);
  const napi_property_descriptor added[] = {
      {"compileFunction", nullptr, Method<Compile, 4>, nullptr, nullptr, nullptr, napi_default, nullptr},
      {"removeFunction", nullptr, Method<Remove, 1>, nullptr, nullptr, nullptr, napi_default, nullptr},
  };
  napi_define_properties(env, exports, 2, added);
  return exports;
}

}  // namespace

NAPI_MODULE_INIT() { return Initialize(env, exports); }
