"""Figures, budget, events and caches, on a pretended GPU."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

import sam_mm
from conftest import Fake, compiled

GB = 1 << 30


@pytest.fixture(scope="module")
def gpu_file():
    return compiled("FAKE_CUDA_DEVICES=1")


@pytest.fixture
def gpu(gpu_file, tmp_path, monkeypatch):
    for name in ("SAM_GPU_MEMORY_FRACTION", "SAM_MEMORY_WARNING_THRESHOLD", "SAM_MEMORY_CRITICAL_THRESHOLD"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "libsam_mm_fake.so"
    shutil.copy(gpu_file, path)
    return Fake(path)


def gpu_context(gpu: Fake, **settings) -> sam_mm.Context:
    nothing = str(gpu.path.parent / "none.so")
    memory = sam_mm.MemoryOptions(nvml_library=nothing, cudart_library=nothing, monitor=False, max_age_ms=0, **settings)
    return gpu.context(device="cuda:0", memory=memory)


def test_on_the_cpu_the_text_says_so_and_figures_are_none(fake):
    info = fake.context().memory_info()
    assert str(info) == info.formatted == "Running on CPU - memory stats not available"
    assert info.source is sam_mm.Source.NONE and info.used is info.total is info.utilization is None
    assert info.host_total > info.host_process > 0


def test_figures_of_a_gpu(gpu):
    gpu.do(f"memory total={8 * GB} other={2 * GB}")
    context = gpu_context(gpu)
    context.load_model(b"fake-model\n")
    info = context.memory_info()
    assert info.source is sam_mm.Source.BACKEND and info.total == 8 * GB and info.used >= 2 * GB
    assert info.utilization == pytest.approx(info.used / info.total)
    assert info.formatted.startswith("Used: 2.00 GB / Total: 8.00 GB (25.")


def test_status_and_should_cache_follow_the_thresholds(gpu):
    gpu.do(f"memory total={8 * GB} other={7 * GB}")
    context = gpu_context(gpu)
    context.load_model(b"fake-model\n")
    status = context.memory_status()
    assert status.level is sam_mm.Level.WARNING and status.message == "High GPU memory usage: 87.5%"
    assert status.utilization == pytest.approx(0.875, abs=1e-4)
    assert not context.should_cache() and isinstance(context.should_cache(sam_mm.Tier.HOST), bool)


def test_events_reach_a_function_and_the_queue(gpu, gray):
    gpu.do(f"memory total={8 * GB} other={GB}")
    context = gpu_context(gpu)
    model, heard = context.load_model(b"fake-model\n"), []
    context.on_memory_event(heard.append)
    gpu.do("oom encode 1 1")
    result = model.predict(context.image(gray), points=(1, 1))
    assert result.recovered_by is not sam_mm.Rung.NONE
    kinds = [event.kind for event in heard]
    assert sam_mm.EventKind.RECOVERED in kinds
    queued = list(context.memory_events())
    assert [event.kind for event in queued if event.number >= heard[0].number] == kinds
    assert list(context.memory_events()) == []
    context.on_memory_event(None)
    context.optimize(force=True)
    assert len(heard) == len(kinds)


def test_counters_and_the_report(gpu, gray):
    gpu.do(f"memory total={8 * GB} other={GB}")
    context = gpu_context(gpu)
    model = context.load_model(b"fake-model\n")
    gpu.do("oom decode 1 1")
    model.predict(context.image(gray), points=(1, 1))
    counters = context.memory_counters()
    assert (counters.recoveries_attempted, counters.recoveries_succeeded) == (1, 1)
    assert counters.health is sam_mm.Health.HEALTHY and counters.embedding_misses == 1
    with pytest.raises(AttributeError):
        counters.nothing_of_the_kind
    report = context.memory_report()
    assert report["health"]["state"] == "healthy" and "recommendations" in report


def test_optimize_gives_back_what_caches_hold(gpu, gray):
    gpu.do(f"memory total={8 * GB} other={GB}")
    context = gpu_context(gpu)
    model = context.load_model(b"fake-model\n")
    model.predict(context.image(gray), points=(1, 1))
    assert context.cache_info(sam_mm.Cache.EMBEDDING).entries == 1
    assert not context.optimize().performed
    report = context.optimize(force=True)
    assert report.performed and report.embedding_cache_bytes == 4096 and report.prediction_cache_bytes > 0
    assert report.used_after < report.used_before
    assert context.cache_info(sam_mm.Cache.EMBEDDING).entries == 0


def test_caches_are_described_limited_and_cleared(fake, gray):
    context = fake.context(embedding_cache_bytes=10 * 4096, prediction_cache_entries=2, image_cache_entries=0)
    model = context.load_model(b"fake-model\n")
    image = context.image(gray)
    for x in range(4):
        model.predict(image, points=(x, 1))
    predictions = context.cache_info(sam_mm.Cache.PREDICTION)
    assert (predictions.entries, predictions.max_entries, predictions.misses) == (2, 2, 4)
    embeddings = context.cache_info(sam_mm.Cache.EMBEDDING)
    assert embeddings.max_entries is None and embeddings.max_bytes == 10 * 4096 and embeddings.entries == 1
    assert context.clear_cache(sam_mm.Cache.PREDICTION) > 0
    assert context.cache_info(sam_mm.Cache.PREDICTION).entries == 0


def test_a_budget_that_is_too_small_takes_the_cpu_and_says_so(gpu, gray, tmp_path):
    (tmp_path / "model").write_bytes(b"fake-model\n")
    gpu.do(f"memory total={8 * GB} other={8 * GB - 100_000}")
    context = gpu_context(gpu, fraction=1.0)
    model = context.load_model(tmp_path / "model")
    result = model.predict(context.image(np.dstack([gray] * 3)), points=(1, 1))
    assert result.on_cpu and result.precision == "fp32"


def test_a_variable_that_cannot_be_used_is_an_event(fake, monkeypatch):
    monkeypatch.setenv("SAM_GPU_MEMORY_FRACTION", "lots")
    event = next(fake.context().memory_events())
    assert event.kind is sam_mm.EventKind.CONFIG_WARNING and '"lots"' in event.message
