"""Files of reference statistics, as evaluation scripts exchange them."""

import numpy as np
import pytest
import torch

from _support.mutants import catches
from _support.strategies import normal
from vistok.metrics import (
    FeatureStatistics,
    GaussianStatistics,
    ReferenceStatistics,
    frechet_distance,
    read_reference_statistics,
    write_reference_statistics,
)

SUBJECT = "vistok.metrics.distribution.reference"


def statistics_of(features):
    found = FeatureStatistics(features.shape[1])
    found.update(features)
    return found.compute()


PIXELS = torch.arange(2 * 3 * 4 * 5, dtype=torch.uint8).view(2, 3, 4, 5)
WHOLE = ReferenceStatistics(statistics_of(normal(0, 20, 6)), statistics_of(normal(1, 20, 4)), PIXELS)


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@catches(SUBJECT, 'arrays |= {"mu_s"', '_ = {"mu_s"')
@catches(SUBJECT, ".permute(0, 2, 3, 1)", "")
@catches(SUBJECT, '"sigma_s": statistics.spatial.covariance', '"sigma_s": statistics.features.covariance')
def test_what_is_written_is_the_adm_evaluators_form(tmp_path):
    write_reference_statistics(tmp_path / "adm.npz", WHOLE)
    with np.load(tmp_path / "adm.npz") as arrays:
        assert sorted(arrays.files) == ["arr_0", "mu", "mu_s", "sigma", "sigma_s"]
        assert arrays["mu"].shape == (6,)
        assert arrays["sigma_s"].shape == (4, 4)
        assert arrays["arr_0"].shape == (2, 4, 5, 3)
        assert np.array_equal(arrays["arr_0"][1, 2, 3], PIXELS[1, :, 2, 3].numpy())
        np.testing.assert_allclose(arrays["mu"], normal(0, 20, 6).double().numpy().mean(0), atol=1e-14)
    assert [path.name for path in tmp_path.iterdir()] == ["adm.npz"]


@catches(SUBJECT, "_images(arrays) if with_images else None", "_images(arrays)")
@catches(SUBJECT, ".permute(0, 3, 1, 2)", ".permute(0, 3, 2, 1)")
@catches(SUBJECT, '_statistics(arrays, "mu_s", "sigma_s")', '_statistics(arrays, "mu", "sigma")')
def test_what_was_written_is_read(tmp_path):
    write_reference_statistics(tmp_path / "adm.npz", WHOLE)
    read = read_reference_statistics(str(tmp_path / "adm.npz"), with_images=True)
    assert same(read.features, WHOLE.features)
    assert same(read.spatial, WHOLE.spatial)
    assert torch.equal(read.images, PIXELS)
    assert read_reference_statistics(tmp_path / "adm.npz").images is None
    write_reference_statistics(tmp_path / "adm.npz", WHOLE._replace(spatial=None, images=None))
    with np.load(tmp_path / "adm.npz") as arrays:
        assert sorted(arrays.files) == ["mu", "sigma"]
    assert read_reference_statistics(tmp_path / "adm.npz", with_images=True)[1:] == (None, None)


def test_a_file_of_pytorch_fid_gives_the_distance_of_its_features(tmp_path):
    reference, samples = normal(0, 50, 5), normal(1, 40, 5)
    a = reference.double().numpy()
    np.savez(tmp_path / "fid.npz", mu=a.mean(0), sigma=np.cov(a, rowvar=False))
    read = read_reference_statistics(tmp_path / "fid.npz")
    assert frechet_distance(samples, read.features) == pytest.approx(frechet_distance(samples, reference), abs=1e-9)
    np.savez(tmp_path / "single.npz", mu=a.mean(0, dtype="float32"), sigma=np.cov(a, rowvar=False).astype("float32"))
    read = read_reference_statistics(tmp_path / "single.npz")
    assert frechet_distance(samples, read.features) == pytest.approx(frechet_distance(samples, reference), abs=1e-4)


MU, SIGMA = np.zeros(3), np.eye(3)


@catches(SUBJECT, "if len(there) == 1:", "if False:")
@catches(SUBJECT, "covariance.shape != (len(mean), len(mean))", "covariance.ndim != 2")
@catches(SUBJECT, "(found.covariance - found.covariance.T)", "(found.covariance - found.covariance)")
@catches(SUBJECT, "(found.covariance.diag() < 0).any()", "False")
def test_a_file_of_something_else_is_named_in_one_line(tmp_path):
    for arrays, words in (
        ({"arr_0": np.zeros((1, 2, 2, 3), "uint8")}, "expected arrays mu and sigma, got arr_0"),
        ({"mu": MU}, "expected both mu and sigma, got mu alone"),
        ({"mu": MU, "sigma": SIGMA, "sigma_s": SIGMA}, "expected both mu_s and sigma_s, got sigma_s alone"),
        ({"mu": MU, "sigma": np.eye(3, 4)}, r"must be \(D,\) and \(D, D\), got \(3,\) and \(3, 4\)"),
        ({"mu": MU.astype(int), "sigma": SIGMA}, "must be floats, got int64 and float64"),
        ({"mu": MU * np.nan, "sigma": SIGMA}, "must be finite"),
        ({"mu": MU, "sigma": np.triu(np.ones((3, 3)))}, "sigma must be a covariance"),
        ({"mu": MU, "sigma": -SIGMA}, "sigma must be a covariance"),
        ({"mu": MU, "sigma": SIGMA, "arr_0": np.zeros((2, 2, 3))}, "arr_0 must be uint8 images"),
        ({"mu": np.array([object()] * 3), "sigma": SIGMA}, "Object arrays cannot be loaded"),
    ):
        path = tmp_path / "odd.npz"
        np.savez(path, **arrays)
        with pytest.raises(ValueError, match=words) as told:
            read_reference_statistics(path, with_images=True)
        assert str(told.value).startswith(f"{path}: ")
        assert "\n" not in str(told.value)


def test_a_damaged_file_is_named_in_one_line(tmp_path):
    path = tmp_path / "cut.npz"
    write_reference_statistics(path, WHOLE)
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"no file of arrays", whole[:200] + b"????" + whole[204:]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"\A[^\n]+\Z") as told:
            read_reference_statistics(path)
        assert str(told.value).startswith(f"{path}: ")
    np.save(tmp_path / "one.npy", MU)
    with pytest.raises(ValueError, match=r"expected an [.]npz file of several arrays"):
        read_reference_statistics(tmp_path / "one.npy")
    with pytest.raises(FileNotFoundError):
        read_reference_statistics(tmp_path / "none.npz")


@catches(SUBJECT, "with partial.open", "with path.open")
def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "kept.npz"
    write_reference_statistics(path, WHOLE)
    before = path.read_bytes()

    def half(file, **arrays):
        file.write(b"half of it")
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez", half)
    with pytest.raises(OSError, match="no space left"):
        write_reference_statistics(path, WHOLE)
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["kept.npz"]


def test_statistics_that_are_none_are_not_written(tmp_path):
    wrong = ReferenceStatistics(GaussianStatistics(torch.zeros(3), torch.zeros(2, 2)))
    with pytest.raises(ValueError, match=r"bad\.npz: mu and sigma must be"):
        write_reference_statistics(tmp_path / "bad.npz", wrong)
    with pytest.raises(ValueError, match=r"ends in \.npz"):
        write_reference_statistics(tmp_path / "bad.npy", WHOLE)
    assert list(tmp_path.iterdir()) == []
