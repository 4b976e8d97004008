"""Failures are exceptions with a code, words and causes."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import sam_mm


def test_a_wrong_argument_has_its_name_and_value(demo, image):
    with pytest.raises(sam_mm.InvalidArgumentError, match="1234") as raised:
        demo.predict(image, points=[(1234, 5)])
    error = raised.value
    assert isinstance(error, ValueError) and isinstance(error, sam_mm.SamMmError)
    assert (error.code, error.status_name) == (1, "SAM_MM_ERR_INVALID_ARGUMENT")
    assert error.message in str(error)


def test_each_status_of_the_backend_is_an_exception_of_its_own(fake, gray):
    context = fake.context()
    model, image = context.load_model(b"fake-model\n"), context.image(gray)
    kinds = {
        6: sam_mm.BackendError, 10: sam_mm.DeviceUnavailableError, 11: sam_mm.DeviceLostError,
        3: sam_mm.UnsupportedError,
    }
    for code, kind in kinds.items():
        fake.do(f"fail encode 1 {code} the words of {code}")
        with pytest.raises(kind, match=f"the words of {code}") as raised:
            model.predict(image, points=(1, 1))
        assert raised.value.code == code
    assert len(model.predict(image, points=(1, 1))) == 3


def test_memory_that_ran_out_is_a_memory_error_and_the_next_call_works(fake, gray):
    context = fake.context()
    model, image = context.load_model(b"fake-model\n"), context.image(gray)
    fake.do("oom encode 1 100")
    with pytest.raises(MemoryError) as raised:
        model.predict(image, points=(1, 1))
    assert isinstance(raised.value, sam_mm.OutOfMemoryError)
    fake.do("reset")
    assert len(model.predict(image, points=(1, 1))) == 3


def test_files_that_are_not_there_or_not_models_are_told_apart(context, tmp_path):
    with pytest.raises(sam_mm.FileError, match="nowhere.pth") as raised:
        context.load_model(tmp_path / "nowhere.pth")
    assert isinstance(raised.value, OSError)
    (tmp_path / "noise.pth").write_bytes(np.random.default_rng(1).bytes(5000))
    with pytest.raises(sam_mm.CheckpointError):
        context.load_model(tmp_path / "noise.pth")


def test_what_would_not_reach_the_library_as_it_is_is_refused(context, demo, image, gray):
    for name in ("model.pt\0garbage", "\0"):
        with pytest.raises(ValueError, match="NUL byte"):
            context.load_model(name)
    for option in ("device", "backend_path", "embedding_disk_folder"):
        with pytest.raises(ValueError, match=f"{option} is .*NUL byte"):
            sam_mm.Context(**{option: "cpu\0"})
    for picture in (None, gray):
        with pytest.raises(TypeError, match="image must be a sam_mm.Image, which Context.image makes of an array, not"):
            demo.predict(picture, points=[(1, 1)])
    for register in (context.on_progress, context.on_log, context.on_memory_event):
        with pytest.raises(TypeError, match="must be a function or None, not int"):
            register(5)


def test_causes_follow_the_message():
    error = sam_mm.BackendError("it failed", ("because", "of this"))
    assert str(error) == "it failed: because: of this" and error.causes == ("because", "of this")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is sam_mm.BackendError and str(again) == str(error) and again.code == error.code


def test_no_backend_is_told_with_every_path_tried(tmp_path):
    context = sam_mm.Context("cpu", backend_path=tmp_path / "libsam_mm_none.so")
    with pytest.raises(sam_mm.BackendNotFoundError, match="libsam_mm_none.so"):
        context.load_model()


def test_closed_objects_refuse_and_close_again(fake, gray):
    context = fake.context()
    model, image = context.load_model(b"fake-model\n"), context.image(gray)
    result = model.predict(image, points=(1, 1))
    for thing in (result, image, model, context):
        assert not thing.closed
        thing.close()
        thing.close()
        assert thing.closed
    for use in (
        lambda: model.predict(image, points=(1, 1)), lambda: context.image(gray), lambda: result.masks,
        lambda: result[0], context.memory_info, lambda: image.encode(model),
    ):
        with pytest.raises(sam_mm.InvalidHandleError, match="closed"):
            use()


def test_model_and_image_of_two_contexts_are_refused(fake, gray):
    model, image = fake.context().load_model(b"fake-model\n"), fake.context().image(gray)
    with pytest.raises(sam_mm.SamMmError, match="context"):
        model.predict(image, points=(1, 1))


def test_options_that_cannot_be_are_refused(fake):
    with pytest.raises(sam_mm.InvalidArgumentError, match="gpu0"):
        sam_mm.Context("gpu0")
    with pytest.raises(sam_mm.InvalidArgumentError, match="fraction"):
        fake.context(memory=sam_mm.MemoryOptions(fraction=1.5))
    with pytest.raises(ValueError, match="precision is 'fp8'"):
        fake.context().load_model(b"fake-model\n", precision="fp8")
    with pytest.raises(ValueError, match="log_level is 'loud'"):
        fake.context(log=print, log_level="loud")
