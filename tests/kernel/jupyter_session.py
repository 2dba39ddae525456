"""Drives one notebook kernel through Jupyter's own client: one JSON request per line in, one JSON answer per line out.

{"op": "start", "cwd": ..., "env": {...}}
{"op": "execute", "code": ..., "interrupt_on": TEXT, "complete_on": [TEXT, CODE, POSITION]}   actions when the output first has TEXT
{"op": "complete" | "inspect", "code": ..., "position": ...}
{"op": "listen", "seconds": ...}                                       what arrives although nothing was asked
{"op": "stop"}
"""

import json
import os
import subprocess
import sys
import time
from queue import Empty

from jupyter_client.manager import KernelManager

TIMEOUT = 120


def brief(message):
    return {"type": message["msg_type"], **message["content"]}


class Session:
    manager = None

    def start(self, cwd, env):
        self.manager = KernelManager(kernel_name="reasoning-rhythm")
        # Node makes an inherited output non-blocking, for us too, and long answers would be cut.
        self.manager.start_kernel(cwd=cwd, env={**os.environ, **env}, stdout=subprocess.DEVNULL)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=TIMEOUT)
        return {"display_name": self.manager.kernel_spec.display_name}

    def reply_to(self, message_id):
        while True:
            message = self.client.get_shell_msg(timeout=TIMEOUT)
            if message["parent_header"].get("msg_id") == message_id:
                return message["content"]

    def execute(self, code, interrupt_on=None, complete_on=None):
        started = time.monotonic()
        message_id = self.client.execute(code)
        outputs = []
        text = ""
        answer = {}
        interrupted = None
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=TIMEOUT if interrupted is None else 3)
            except Empty:
                # Node loses a signal that comes in the moment in which it hands over from the cell's first stretch.
                if interrupted is None or time.monotonic() - interrupted > TIMEOUT:
                    raise
                self.manager.interrupt_kernel()
                continue
            if message["parent_header"].get("msg_id") != message_id:
                continue
            content = message["content"]
            if message["msg_type"] == "status":
                if content["execution_state"] == "idle":
                    break
                continue
            outputs.append(brief(message))
            if message["msg_type"] == "stream":
                text += content["text"]
            if complete_on and complete_on[0] in text:
                asked = time.monotonic()
                completion = self.client.complete(complete_on[1], complete_on[2])
                answer["completion"] = self.reply_to(completion)
                answer["completion_seconds"] = time.monotonic() - asked
                complete_on = None
            if interrupt_on and interrupt_on in text:
                time.sleep(0.1)
                interrupted = time.monotonic()
                self.manager.interrupt_kernel()
                interrupt_on = None
        ended = time.monotonic()
        answer["seconds"] = ended - started
        if interrupted is not None:
            answer["seconds_after_interrupt"] = ended - interrupted
        answer["reply"] = self.reply_to(message_id)
        answer["outputs"] = outputs
        return answer

    def complete(self, code, position):
        return self.reply_to(self.client.complete(code, position))

    def inspect(self, code, position):
        return self.reply_to(self.client.inspect(code, position))

    def listen(self, seconds):
        until = time.monotonic() + seconds
        outputs = []
        while (left := until - time.monotonic()) > 0:
            try:
                outputs.append(brief(self.client.get_iopub_msg(timeout=left)))
            except Empty:
                break
        return {"outputs": outputs}

    def stop(self):
        started = time.monotonic()
        self.client.stop_channels()
        self.manager.shutdown_kernel()
        self.manager = None
        return {"seconds": time.monotonic() - started}


session = Session()
for line in sys.stdin:
    request = json.loads(line)
    try:
        answer = getattr(session, request.pop("op"))(**request)
    except Exception as error:
        answer = {"failed": f"{request}: {type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)

# The test ended without a word.
if session.manager:
    session.manager.shutdown_kernel(now=True)
