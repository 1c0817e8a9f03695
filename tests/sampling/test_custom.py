"""A user's own energy: numpy and torch agree, and a gradient that does not match is named."""

import numpy as np
import pytest

from replica.sampling.chains import run_chains, time_average
from replica.sampling.custom import CustomTarget, TorchTarget, check_gradient
from replica.sampling.look_ahead import LookAheadHMC
from replica.sampling.markov_jump import MarkovJumpHMC
from replica.sampling.targets import AnisotropicGaussian, DiagonalGaussian, RoughWell, StudentTProduct


def banana(x):
    return 0.5 * x[0] ** 2 + 2.0 * (x[1] - x[0] ** 2) ** 2


def banana_gradient(x):
    bend = 4.0 * (x[1] - x[0] ** 2)
    return np.stack([x[0] - 2.0 * x[0] * bend, bend])


BY_HAND, BY_TORCH = CustomTarget(2, banana, banana_gradient), TorchTarget(2, banana)


def test_torch_and_hand_agree():
    x = np.random.default_rng(0).normal(size=(2, 50))
    np.testing.assert_allclose(BY_TORCH.energy(x), BY_HAND.energy(x), rtol=1e-14)
    np.testing.assert_allclose(BY_TORCH.gradient(x), BY_HAND.gradient(x), rtol=1e-12, atol=1e-14)
    for target in (BY_HAND, BY_TORCH):
        out = np.full_like(x, np.nan)
        assert target.gradient(x, out=out) is out
        np.testing.assert_array_equal(out, target.gradient(x))
        assert check_gradient(target, x) < 1e-7


@pytest.mark.parametrize("target", [BY_HAND, BY_TORCH], ids=["numpy", "torch"])
@pytest.mark.parametrize("make", [LookAheadHMC, MarkovJumpHMC])
def test_samples_a_curved_target(target, make):
    """x0 is standard normal and x1 = x0^2 + noise of variance 1/4: mean 1, variance 2 + 1/4."""
    rng = np.random.default_rng(1)
    first = rng.standard_normal(300)
    start = np.stack([first, first**2 + 0.5 * rng.standard_normal(300)])
    run = run_chains(make(target, 0.15, 8), start, 400, rng)
    for moment, exact in ((lambda x: x[:, 0], 0.0), (lambda x: x[:, 0] ** 2, 1.0), (lambda x: x[:, 1], 1.0)):
        values = time_average(run, moment)
        assert abs(values.mean() - exact) < 4 * values.std(ddof=1) / np.sqrt(300)


@pytest.mark.parametrize(
    "target",
    [
        RoughWell(3),
        AnisotropicGaussian(4),
        DiagonalGaussian([2.0, 0.1]),
        StudentTProduct([2.1, 3.0, 4.0]),
        StudentTProduct([2.5, 3.5, 8.0], [[1.0, 0.5], [-1.0, 2.0], [0.3, 0.3]], [0.1, 0.0, -1.0]),
    ],
    ids=lambda target: type(target).__name__,
)
def test_targets_of_the_package_pass(target):
    x = np.random.default_rng(2).normal(0, 3, size=(target.n_dims, 20))
    assert check_gradient(target, x) < 1e-6


def test_large_energies_do_not_raise_a_false_alarm():
    target = CustomTarget(1, lambda x: 1e9 + 0.5 * x[0] ** 2, lambda x: x)
    check_gradient(target, np.linspace(-2, 2, 9)[None])


def test_wrong_gradients_are_named_with_chain_coordinate_and_numbers():
    def wrong(x):
        g = banana_gradient(x)
        g[1, 3] *= 1.01
        return g

    x = np.random.default_rng(3).normal(size=(2, 6))
    right = banana_gradient(x)[1, 3]
    with pytest.raises(ValueError, match="does not match the energy: for chain 3, coordinate 1") as caught:
        check_gradient(CustomTarget(2, banana, wrong), x)
    assert f"{1.01 * right:.6g}"[:6] in str(caught.value)
    assert f"{right:.6g}"[:6] in str(caught.value)
    assert "1 of 12 entries" in str(caught.value)
    with pytest.raises(ValueError, match="does not match"):
        check_gradient(CustomTarget(2, banana, lambda x: np.full_like(x, np.nan)), x)


def test_an_energy_that_mixes_chains_is_noticed():
    mixed = TorchTarget(1, lambda x: 0.5 * (x[0] - 0.5 * x[0].mean()) ** 2)
    with pytest.raises(ValueError, match="does not match"):
        check_gradient(mixed, np.array([[1.0, 2.0, 4.0]]))


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda: CustomTarget(0, banana, banana_gradient), "n_dims must be"),
        (lambda: TorchTarget(1.5, banana), "n_dims must be"),
        (lambda: CustomTarget(2, lambda x: 1.0, banana_gradient).energy(np.zeros((2, 3))), "one number per chain"),
        (lambda: CustomTarget(2, banana, lambda x: x[0]).gradient(np.zeros((2, 3))), "shape of the positions"),
        (lambda: TorchTarget(2, lambda x: x.sum()).energy(np.zeros((2, 3))), "one number per chain"),
        (lambda: TorchTarget(2, lambda x: x.sum()).gradient(np.zeros((2, 3))), "one number per chain"),
        (lambda: check_gradient(BY_HAND, np.zeros(2)), "position must have shape"),
    ],
)
def test_bad_input_is_refused(act, words):
    with pytest.raises(ValueError, match=words):
        act()
