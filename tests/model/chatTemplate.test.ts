import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { applyChatTemplate, type ChatMessage, loadChatTemplate } from '../../lib/model/chatTemplate'
import { resolveModel } from '../../lib/model/hub'

const REFERENCE = path.join(__dirname, '..', 'fixtures', 'reference')

test("SmolLM2's template gives the prompts of the reference traces", async () => {
  const template = await loadChatTemplate(await resolveModel('smollm2-135m-instruct'))
  for (const name of ['smollm2-00', 'smollm2-01', 'smollm2-02', 'smollm2-03']) {
    const { prompt } = JSON.parse(readFileSync(path.join(REFERENCE, `${name}.json`), 'utf8'))
    // The turns of the prompt, read off its ChatML marks.
    const turns = [...prompt.matchAll(/<\|im_start\|>(system|user)\n(.*?)<\|im_end\|>\n/gs)]
    const messages = turns.map(([, role, content]) => ({ role, content }))
    assert.deepEqual(
      messages.map(({ role }) => role),
      ['system', 'user'],
    )
    assert.equal(applyChatTemplate(template, messages), prompt)
    const withoutOpening = applyChatTemplate(template, messages, { addGenerationPrompt: false })
    assert.equal(`${withoutOpening}<|im_start|>assistant\n`, prompt)
  }
})

test('templates see messages, tokens, tools and further variables, with blocks trimmed', () => {
  const template = `{{ bos_token }}
{%- for message in messages %}
  {%- if loop.first and tools %}[tools {{ tools | length }}: {{ tools[0].name }}]{% endif %}
[{{ message['role'] | upper }}] {{ message.content | trim }}{{ eos_token }}
{%- endfor %}
{% if add_generation_prompt %}
[ASSISTANT]{% if enable_thinking is defined and not enable_thinking %} (brief){% endif %}
{% endif %}`
  const messages = [
    { role: 'user', content: '  2 + 2? ' },
    { role: 'assistant', content: '4' },
  ]
  // What Jinja2 renders with trim_blocks and lstrip_blocks.
  assert.equal(
    applyChatTemplate(template, messages, { bosToken: '<s>', eosToken: '</s>' }),
    '<s>[USER] 2 + 2?</s>[ASSISTANT] 4</s>[ASSISTANT]',
  )
  assert.equal(
    applyChatTemplate(template, messages.slice(0, 1), {
      addGenerationPrompt: true,
      tools: [{ name: 'add' }],
      variables: { enable_thinking: false },
    }),
    '[tools 1: add][USER] 2 + 2?[ASSISTANT] (brief)',
  )
})

test('among named templates, tools choose tool_use', () => {
  const templates = [
    { name: 'default', template: 'plain' },
    { name: 'tool_use', template: 'tools' },
  ]
  assert.equal(applyChatTemplate(templates, []), 'plain')
  assert.equal(applyChatTemplate(templates, [], { tools: [{}] }), 'tools')
  assert.throws(() => applyChatTemplate([{ name: 'rag', template: '' }], []), /named default, only rag/)
})

test('the date comes from strftime_now', () => {
  assert.match(applyChatTemplate("{{ strftime_now('%Y-%m-%d') }}", []), /^\d{4}-\d\d-\d\d$/)
})

test('errors name the problem', () => {
  const user = [{ role: 'user', content: 'Hi' }]
  for (const none of [null, undefined, '', []])
    assert.throws(() => applyChatTemplate(none, user), /no chat template: give it plain text instead/)
  assert.throws(() => applyChatTemplate('{% if %}', user), /the chat template cannot be parsed: /)
  assert.throws(
    () => applyChatTemplate("{{ raise_exception('roles must alternate') }}", user),
    /refused these messages \(user\): roles must alternate/,
  )
  assert.throws(() => applyChatTemplate('', [{} as ChatMessage]), /message 0 has no role/)
})

test('a folder has its template in chat_template.jinja or tokenizer_config.json', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'template-'))
  const config = path.join(folder, 'tokenizer_config.json')
  try {
    assert.equal(await loadChatTemplate(folder), null)
    writeFileSync(config, '{}')
    assert.equal(await loadChatTemplate(folder), null)
    writeFileSync(config, JSON.stringify({ chat_template: 'from the configuration' }))
    assert.equal(await loadChatTemplate(folder), 'from the configuration')
    const named = [{ name: 'default', template: 'x' }]
    writeFileSync(config, JSON.stringify({ chat_template: named }))
    assert.deepEqual(await loadChatTemplate(folder), named)
    writeFileSync(config, JSON.stringify({ chat_template: 7 }))
    await assert.rejects(loadChatTemplate(folder), /neither a text nor a list of named texts/)
    writeFileSync(config, '{')
    await assert.rejects(loadChatTemplate(folder), /not readable as JSON/)
    writeFileSync(path.join(folder, 'chat_template.jinja'), 'from the file')
    assert.equal(await loadChatTemplate(folder), 'from the file')
  } finally {
    rmSync(folder, { recursive: true })
  }
})
