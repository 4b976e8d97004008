"""Threads, the collector, callbacks and the end of the interpreter."""

from __future__ import annotations

import gc
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import drawn
import sam_mm

FAKE = """
import gc, os, sys, threading, time
import numpy as np
import sam_mm
from pathlib import Path
from conftest import Fake
fake = Fake(Path({path!r}))
context = fake.context()
model = context.load_model(b"fake-model\\n")
gray = np.tile(np.linspace(0, 255, 64, dtype=np.uint8), (48, 1))
image = context.image(gray)
"""


def wait_until(condition, seconds: float = 30) -> None:
    """Fails when something that must happen does not."""
    for _ in range(int(seconds * 1000)):
        if condition():
            return
        time.sleep(0.001)
    raise AssertionError("it did not happen")


@pytest.fixture
def blocked(fake, gray):
    """A thread whose prediction waits in the backend until it is let go."""
    context = fake.context()
    model, image = context.load_model(b"fake-model\n"), context.image(gray)
    fake.do("block encode")
    outcome = []
    thread = threading.Thread(target=lambda: outcome.append(model.predict(image, points=(1, 1))))
    thread.start()
    wait_until(lambda: fake.value("waiting.encode") == 1)
    return fake, context, model, image, thread, outcome


def test_other_threads_run_while_one_predicts(blocked):
    fake, context, _, _, thread, outcome = blocked
    assert context.memory_info().formatted and not outcome
    fake.do("unblock encode")
    thread.join()
    assert len(outcome[0]) == 3


def test_collecting_while_predicting_frees_nothing_that_is_in_use(fake, gray):
    fake.do("block encode")
    outcome = []

    def predict() -> None:
        context = fake.context()
        outcome.append(context.load_model(b"fake-model\n").predict(context.image(gray), points=(1, 1)))

    thread = threading.Thread(target=predict)
    thread.start()
    wait_until(lambda: fake.value("waiting.encode") == 1)
    for _ in range(20):
        gc.collect()
    fake.do("unblock encode")
    thread.join()
    assert outcome[0].masks.shape == (3, 48, 64)
    assert fake.value("violations") == 0


def test_closing_in_another_thread_while_predicting_is_safe(blocked):
    fake, context, model, image, thread, outcome = blocked
    closers = [threading.Thread(target=thing.close) for thing in (image, model, context) for _ in range(3)]
    for closer in closers:
        closer.start()
    fake.do("unblock encode")
    for closer in (*closers, thread):
        closer.join()
    assert len(outcome[0]) == 3 and outcome[0].masks.any()
    outcome.clear()
    gc.collect()
    assert fake.value("violations") == 0
    wait_until(lambda: fake.value("live.models") == 0 and fake.value("live.embeddings") == 0)


def test_everything_is_freed_when_nothing_refers_to_it(fake, gray):
    context = fake.context()
    model = context.load_model(b"fake-model\n")
    mask = model.predict(context.image(gray), points=(1, 1)).best()
    assert mask.array.shape == gray.shape
    del context, model, mask
    gc.collect()
    assert fake.value("live.models") == fake.value("live.embeddings") == fake.value("live.devices") == 0


def test_many_threads_share_a_model(demo, context, scene):
    expected = demo.predict(context.image(scene), points=drawn.DISC).masks

    def work(number: int) -> None:
        with context.image(scene, content_id=str(number % 3)) as image:
            np.testing.assert_array_equal(demo.predict(image, points=drawn.DISC).masks, expected)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(24)))


def test_a_callback_that_raises_is_reported_and_the_call_goes_on(fake, gray, monkeypatch):
    reported = []
    monkeypatch.setattr(sys, "unraisablehook", reported.append)

    def fails(level: str, line: str) -> None:
        raise RuntimeError(f"no room for {line!r}")

    context = fake.context(log=fails, log_level="debug")
    model = context.load_model(b"fake-model\n")
    assert len(model.predict(context.image(gray), points=(1, 1))) == 3
    assert reported and all(isinstance(report.exc_value, RuntimeError) for report in reported)


def test_the_log_reaches_a_function_with_its_level(fake):
    lines = []
    context = fake.context(log=lambda *line: lines.append(line), log_level="debug")
    fake.do("log model_load 2 something to say")
    context.load_model(b"fake-model\n")
    assert any(level == "warn" and "something to say" in line for level, line in lines)
    context.on_log(None)
    count = len(lines)
    context.load_model(b"fake-model\n")
    assert len(lines) == count
    context.on_log(lambda *line: lines.append(line), "debug")
    context.load_model(b"fake-model\n")
    assert len(lines) > count


def test_a_callback_may_ask_questions_and_not_predict(fake, gray):
    asked = []
    context = fake.context()
    model, image = context.load_model(b"fake-model\n"), context.image(gray)

    def asks(level: str, line: str) -> None:
        asked.append(context.memory_info().formatted)
        try:
            model.predict(image, points=(1, 1))
        except sam_mm.InvalidArgumentError as error:
            asked.append(error)

    context.on_log(asks, "debug")
    fake.do("log encode 2 words")
    assert len(model.predict(image, points=(2, 2))) == 3
    context.on_log(None)
    assert any(isinstance(answer, sam_mm.InvalidArgumentError) for answer in asked)


def test_the_last_reference_to_a_context_may_go_inside_its_callback(child, fake):
    text = FAKE.format(path=str(fake.path)) + """
class Node: pass
def log(level, line):
    global context, model, image
    context = model = image = None
    gc.collect()
context.on_log(log, "debug")
fake.do("log encode 2 words")
predict, shown = model.predict, image
model = image = None
holder = [context]
result = predict(shown, points=(1, 1))
del holder, predict, shown
gc.collect()
print(len(result))
"""
    assert child.ok(text).split() == ["3"]


@pytest.mark.parametrize(
    "ending",
    [
        "pass",
        "sys.exit(0)",
        "context.on_log(lambda *line: None, 'debug')",
        "context.on_memory_event(lambda event: None)",
        "kept = [model.predict(image, points=(1, 1))[0].logits, image.process().pixels]",
        "thing = context; thing.itself = thing; context.other = [model, image]",
        "import builtins; builtins.kept = (context, model, image)",
        "threading.Thread(target=lambda: [model.predict(image, points=(i % 60, 1)) for i in range(200)], daemon=True).start()",
        "threading.Thread(target=lambda: [model.predict(image, points=(i % 60, 1)) for i in range(200)]).start()",
    ],
)
def test_the_interpreter_ends_with_0_whatever_is_alive(child, fake, ending):
    child.ok(FAKE.format(path=str(fake.path)) + ending)


def test_the_interpreter_ends_with_0_with_a_real_model_alive(child):
    told = child.ok(
        """
        import drawn, sam_mm
        context = sam_mm.Context("cpu", log=lambda *line: None, log_level="debug")
        model = context.load_model()
        result = model.predict(context.image(drawn.scene()), box=drawn.DISC_BOX, multimask=False)
        print(round(drawn.iou(result[0].array, drawn.disc()), 1))
        """
    )
    assert float(told) >= 0.8


def test_a_forked_process_is_told_and_ends_well(child, fake):
    text = FAKE.format(path=str(fake.path)) + """
pid = os.fork()
if pid == 0:
    try:
        model.predict(image, points=(1, 1))
        os._exit(3)
    except sam_mm.InvalidHandleError as error:
        if "spawn" not in str(error):
            os._exit(4)
    del model, image, context
    gc.collect()
    sys.exit(0)
_, status = os.waitpid(pid, 0)
print(os.waitstatus_to_exitcode(status), len(model.predict(image, points=(1, 1))))
"""
    assert child.ok(text).split() == ["0", "3"]
