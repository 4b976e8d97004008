"""Jobs are futures: waited for, awaited, cancelled, dropped."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import sys
import threading
from concurrent.futures import as_completed

import numpy as np
import pytest

import drawn
import sam_mm
from test_lifetime import FAKE, wait_until


@pytest.fixture
def ready(fake, gray):
    context = fake.context()
    return fake, context, context.load_model(b"fake-model\n"), context.image(gray)


def test_a_job_gives_what_the_call_gives(demo, image):
    job = demo.submit_predict(image, box=drawn.DISC_BOX, multimask=False)
    result = job.result(60)
    assert job.done() and not job.cancelled() and job.exception() is None
    np.testing.assert_array_equal(result.masks, demo.predict(image, box=drawn.DISC_BOX, multimask=False).masks)
    assert job.result() is result


def test_models_images_and_display_images_come_as_jobs_too(context, scene):
    model = context.submit_load_model().result(60)
    assert model.family == "sam"
    with context.image(np.ascontiguousarray(scene[::-1])) as image:
        assert model.submit_encode(image).result(60) is None
        assert model.predict(image, points=(5, 5)).embedding_reused
        assert image.submit_process(200, min_size=0).result(60).pixels.shape == (150, 200, 3)


def test_what_was_given_may_change_once_it_is_submitted(ready):
    fake, _, model, image = ready
    fake.do("block encode")
    points = np.array([[60, 1]], np.float32)
    job = model.submit_predict(image, points)
    points[:] = 1
    fake.do("unblock encode")
    np.testing.assert_array_equal(job.result(30).masks, model.predict(image, [[60, 1]]).masks)


def test_a_job_can_be_awaited_while_the_loop_goes_on(ready):
    fake, _, model, image = ready
    fake.do("block encode")

    async def main() -> tuple[int, sam_mm.Result]:
        turns = 0
        job = model.submit_predict(image, (1, 1))
        while fake.value("waiting.encode") == 0:
            turns += 1
            await asyncio.sleep(0.001)
        fake.do("unblock encode")
        return turns, await job

    turns, result = asyncio.run(main())
    assert turns > 0 and len(result) == 3


def test_many_jobs_are_awaited_together(demo, context, scene):
    async def main() -> list[sam_mm.Result]:
        image = context.image(scene)
        return await asyncio.gather(*(demo.submit_predict(image, (40 + 10 * i, 150)) for i in range(8)))

    results = asyncio.run(main())
    assert [len(result) for result in results] == [3] * 8


def test_cancelling_the_task_that_awaits_cancels_the_job(ready):
    fake, _, model, image = ready
    fake.do("block encode")

    async def main() -> sam_mm.Job:
        job = model.submit_predict(image, (1, 1))

        async def wait() -> None:
            await job

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)  # a task that has not begun has nothing to cancel
        while fake.value("waiting.encode") == 0:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return job

    job = asyncio.run(main())
    wait_until(job.done)
    assert job.cancelled()


def test_cancelling_in_flight_ends_the_job_and_leaves_the_model_usable(ready):
    fake, _, model, image = ready
    fake.do("block encode")
    job = model.submit_predict(image, (1, 1))
    wait_until(lambda: fake.value("waiting.encode") == 1)
    assert job.running() and job.describe().stage is sam_mm.Stage.ENCODING
    assert job.cancel()
    with pytest.raises(concurrent.futures.CancelledError):
        job.result(30)
    assert job.cancelled() and job.done() and not job.cancel()
    fake.do("unblock encode")
    assert len(model.predict(image, (1, 1))) == 3
    assert fake.value("violations") == 0


def test_a_job_that_fails_raises_what_the_call_would(ready):
    fake, _, model, image = ready
    fake.do("fail encode 1 6 the words")
    job = model.submit_predict(image, (1, 1))
    assert isinstance(job.exception(30), sam_mm.BackendError)
    with pytest.raises(sam_mm.BackendError, match="the words"):
        job.result()
    with pytest.raises(sam_mm.InvalidArgumentError):
        model.submit_predict(image, (1000, 1))


def test_waiting_may_time_out(ready):
    fake, _, model, image = ready
    fake.do("block encode")
    job = model.submit_predict(image, (1, 1))
    with pytest.raises(concurrent.futures.TimeoutError):
        job.result(0.01)
    fake.do("unblock encode")
    assert len(job.result(30)) == 3


def test_a_job_that_nobody_refers_to_is_done_all_the_same(ready):
    fake, context, model, image = ready
    fake.do("block encode")
    model.submit_encode(image)
    wait_until(lambda: fake.value("waiting.encode") == 1)
    gc.collect()
    fake.do("unblock encode")
    wait_until(lambda: context.cache_info(sam_mm.Cache.EMBEDDING).entries == 1)


def test_a_job_keeps_the_context_that_nobody_else_refers_to(fake, gray):
    def submitted() -> sam_mm.Job:
        context = fake.context()
        return context.load_model(b"fake-model\n").submit_predict(context.image(gray), (1, 1))

    fake.do("slow encode 50")
    job = submitted()
    gc.collect()
    assert len(job.result(30)) == 3
    del job
    gc.collect()
    wait_until(lambda: fake.value("live.models") == 0)


def test_closing_the_context_cancels_its_jobs(ready):
    fake, context, model, image = ready
    fake.do("block encode")
    jobs = [model.submit_predict(image, (i, 1)) for i in range(6)]
    wait_until(lambda: fake.value("waiting.encode") == 1)
    context.close()
    assert all(job.cancelled() for job in jobs)


def test_functions_are_called_when_a_job_has_ended_and_may_raise(ready, caplog):
    _, _, model, image = ready
    called, ended = [], threading.Event()

    def fails(_: sam_mm.Job) -> None:
        raise RuntimeError("no room")

    job = model.submit_predict(image, (1, 1))
    job.add_done_callback(fails)
    job.add_done_callback(lambda done: (called.append(len(done.result())), ended.set()))
    assert ended.wait(30) and called == [3]
    assert list(as_completed([job], timeout=30)) == [job]


def test_inside_a_callback_jobs_are_submitted_and_not_waited_for(ready):
    _, _, model, image = ready
    outcome, ended = [], threading.Event()

    def follow(_: sam_mm.Job) -> None:
        second = model.submit_predict(image, (9, 1))
        try:
            second.result(30)
        except sam_mm.InvalidArgumentError as error:
            outcome.append(str(error))
        second.add_done_callback(lambda done: (outcome.append(len(done.result())), ended.set()))

    model.submit_predict(image, (1, 1)).add_done_callback(follow)
    assert ended.wait(30)
    assert "inside a callback" in outcome[0] and outcome[1] == 3


def test_progress_reaches_a_function_and_the_queue(demo, context, scene):
    heard = []
    # Pixels that no other test has encoded in this context.
    fresh = scene.copy()
    fresh[0, 0] = (7, 11, 13)
    context.on_progress(heard.append)
    job = demo.submit_predict(context.image(fresh), drawn.BAR)
    job.result(60)
    context.on_progress(None)
    mine = [event for event in heard if event.source is sam_mm.ProgressSource.JOB and event.id == job.id]
    parts = [event.progress for event in mine]
    assert parts == sorted(parts) and parts[-1] == 1.0
    stages = [event.stage for event in mine]
    assert sam_mm.Stage.ENCODING in stages and sam_mm.Stage.DECODING in stages
    queued = {event.number for event in context.progress_events()}
    assert {event.number for event in mine} <= queued and not list(context.progress_events())


@pytest.mark.parametrize("how", ["returns", "raises"])
def test_progress_cancels_by_returning_true_and_by_raising(ready, how, monkeypatch):
    fake, context, model, image = ready
    reported = []
    monkeypatch.setattr(sys, "unraisablehook", reported.append)

    def stop(event: sam_mm.Progress) -> bool:
        if event.stage is sam_mm.Stage.ENCODING and how == "raises":
            raise RuntimeError("enough")
        return event.stage is sam_mm.Stage.ENCODING

    fake.do("slow encode 200")
    context.on_progress(stop)
    job = model.submit_predict(image, (1, 1))
    with pytest.raises(concurrent.futures.CancelledError):
        job.result(30)
    context.on_progress(None)
    assert [str(report.exc_value) for report in reported] == (["enough"] if how == "raises" else [])
    assert len(model.predict(image, (1, 1))) == 3


@pytest.mark.parametrize(
    "ending",
    [
        "jobs = [model.submit_predict(image, (i, 1)) for i in range(50)]",
        "fake.do('slow encode 300'); model.submit_encode(image)",
        "fake.do('block encode'); job = model.submit_predict(image, (1, 1))",
        "job = model.submit_predict(image, (1, 1)); job.add_done_callback(lambda done: time.sleep(0.2))",
        "context.on_progress(lambda event: None); [model.submit_predict(image, (i, 1)) for i in range(50)]",
        "model.submit_predict(image, (1, 1)); del context, model, image; gc.collect()",
    ],
)
def test_the_interpreter_ends_with_0_with_jobs_on_their_way(child, fake, ending):
    child.ok(FAKE.format(path=str(fake.path)) + ending)


def test_collecting_jobs_in_their_own_callbacks_is_safe(child, fake):
    text = FAKE.format(path=str(fake.path)) + """
done = threading.Semaphore(0)
def ended(job):
    job.itself = job
    gc.collect()
    done.release()
for i in range(60):
    model.submit_predict(image, (i, 1)).add_done_callback(ended)
for i in range(60):
    assert done.acquire(timeout=60)
gc.collect()
print(fake.value("violations"))
"""
    assert child.ok(text).split() == ["0"]
