"""Statistics of a reference are those of all its features, in one pass that goes on."""

import pytest
import torch

from _support.gloo import run_on_two_ranks
from _support.mutants import catches
from _support.stand_in_network import StandIn, pictures
from vistok.metrics import NotMeasurableError, measure_statistics
from vistok.metrics.harness import streamed_pass

SUBJECT = "vistok.metrics.harness.statistics"
REAL = pictures(30)


def assert_whole(found, rich=True):
    features = StandIn(rich=rich)(REAL)
    pairs = [(found.features, features.pooled), *([(found.spatial, features.spatial)] if rich else [])]
    for statistics, whole in pairs:
        torch.testing.assert_close(statistics.mean, whole.double().mean(dim=0))
        torch.testing.assert_close(statistics.covariance, whole.double().T.cov())


@catches(SUBJECT, 'streams["spatial"].update(seen.spatial)', 'streams["spatial"].update(first.spatial)')
@catches(SUBJECT, 'streams["features"].update(seen.pooled)', 'streams["features"].update(seen.pooled[:1])')
def test_they_are_mean_and_covariance_of_all_features():
    assert_whole(measure_statistics(REAL, StandIn(rich=True), batch_size=7))
    plain = measure_statistics(REAL, StandIn(), batch_size=7)
    assert_whole(plain, rich=False)
    assert plain.spatial is None


@catches(SUBJECT, "    if len(source) < 2:", "    if False:")
def test_one_image_has_none_and_leaves_no_folder(tmp_path):
    with pytest.raises(NotMeasurableError, match=r"^statistics need at least 2 images, got 1$"):
        measure_statistics(REAL[:1], StandIn(), folder=tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def of_rank(rank, folder):
    return measure_statistics(REAL, StandIn(rich=True), batch_size=4, folder=folder), len(list(folder.iterdir()))


def test_two_processes_give_what_one_gives(tmp_path):
    for found, kept in run_on_two_ranks(of_rank, tmp_path):
        assert_whole(found)
        assert kept == 0


@catches(SUBJECT, "forget_pass(place)", "pass")
@catches(SUBJECT, "**of_network(network)", "")
def test_a_pass_that_was_stopped_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(streamed_pass, "KEEP_EVERY", 0.0)

    class Stopping(StandIn):
        calls = 0

        def __call__(self, images):
            self.calls += 1
            if self.calls == 4:
                raise KeyboardInterrupt
            return super().__call__(images)

    class Other(StandIn):
        name = "another"

    with pytest.raises(KeyboardInterrupt):
        measure_statistics(REAL, Stopping(rich=True), batch_size=7, folder=tmp_path)
    with pytest.raises(ValueError, match=r"other choices: network 'stand-in' \(now 'another'\)"):
        measure_statistics(REAL, Other(rich=True), batch_size=7, folder=tmp_path)
    rest = Stopping(rich=True)
    rest.calls = 10
    assert_whole(measure_statistics(REAL, rest, batch_size=7, folder=tmp_path))
    assert rest.calls == 14  # the first image, and three batches
    assert list(tmp_path.iterdir()) == []


@catches(SUBJECT, "place = ready_folder(folder)", "place = folder")
def test_a_folder_that_cannot_be_written_to_is_told_before_the_work(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        measure_statistics(REAL, None, folder=tmp_path / "file")
