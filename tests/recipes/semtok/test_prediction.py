"""What is predicted: conversions and losses from the definitions; every choice in both stages and the sampler."""

import itertools

import torch

from _support.mutants import catches
from _support.semtok_runs import generator, pictures, tiny, tiny_tokenizer
from semtok import train_refiner, train_tokenizer
from semtok.config import SamplerConfig
from semtok.draws import Draws
from semtok.model import SemTok
from semtok.prediction import flow_loss, to_image, to_velocity

SUBJECT = "semtok.prediction"
KINDS = ("velocity", "image", "noise")
CODES = torch.randn(3, 4, 6, generator=generator(3)).sign() / 6**0.5


def path(times):
    """Images, noise, the points between them, and the times; float64."""
    image, noise = torch.randn(2, len(times), 1, 4, 4, generator=generator(1), dtype=torch.float64)
    t = torch.tensor(times, dtype=torch.float64)[:, None, None, None]
    return image, noise, (1 - t) * image + t * noise, t


@catches(SUBJECT, "data_to_velocity(output,", "data_to_velocity(-output,")
@catches(SUBJECT, "noise_to_velocity(output, x_t, t.clamp", "noise_to_velocity(output, x_t, (1 - t).clamp")
@catches(SUBJECT, "x_t, t, prediction), x_t, t)", "x_t, t, prediction), x_t, 1 - t)")
def test_each_prediction_says_the_same_velocity_and_image():
    image, noise, x_t, t = path([1e-6, 0.04, 0.3, 0.94])
    for kind, output in (("velocity", noise - image), ("image", image), ("noise", noise)):
        torch.testing.assert_close(to_velocity(output, x_t, t, kind), noise - image, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(to_image(output, x_t, t, kind), image)


@catches(SUBJECT, "t.clamp(max=1 - NEAREST)", "t")
@catches(SUBJECT, "t.clamp(min=nearest) if nearest", "t if nearest")
def test_at_the_ends_the_divisor_is_kept_from_nothing():
    image, _, x_t, t = path([0.0, 1.0])
    other = image + 1
    assert to_velocity(other, x_t, t, "noise").isfinite().all()
    torch.testing.assert_close(to_velocity(other, x_t, t, "noise")[1], (other - x_t)[1] / 0.05)
    torch.testing.assert_close(to_velocity(other, x_t, t, "image", nearest=0.1)[0], (x_t - other)[0] / 0.1)


@catches(SUBJECT, "divisors[space] / divisors[prediction]", "divisors[prediction] / divisors[space]")
@catches(SUBJECT, '"image": t.clamp', '"image": (1 - t).clamp')
@catches(SUBJECT, ".square().mean()", ".square().sum()")
def test_a_loss_is_the_squared_error_of_what_the_output_says_in_the_space():
    """Away from the ends, by converting both sides; and at the ends it stays finite."""
    image, noise, x_t, t = path([0.06, 0.3, 0.8, 0.94])
    output = torch.randn(image.shape, generator=generator(2), dtype=torch.float64)
    for kind, space in itertools.product(KINDS, KINDS):
        velocity = {"velocity": output, "image": (x_t - output) / t, "noise": (output - x_t) / (1 - t)}[kind]
        says = {"velocity": velocity, "image": x_t - t * velocity, "noise": x_t + (1 - t) * velocity}[space]
        wanted = {"velocity": noise - image, "image": image, "noise": noise}[space]
        torch.testing.assert_close(flow_loss(output, image, noise, t, kind, space), (says - wanted).square().mean())
        assert flow_loss(output, image, noise, (t > 0.5).double(), kind, space).isfinite()


@catches("semtok.model", "t[:, None, None, None], self.settings.prediction)", 't[:, None, None, None], "velocity")')
def test_the_sampler_ends_at_the_image_of_its_last_step():
    noise, settings = torch.randn(3, 1, 16, 16, generator=generator(4)), SamplerConfig(num_steps=2, power=1, guidance=1)
    t = torch.ones(3)
    for kind in KINDS:
        tokenizer = tiny_tokenizer(model=SemTok, prediction=kind)
        with torch.no_grad():
            middle = noise - 0.5 * tokenizer.velocity(noise, CODES, t)
            says = tokenizer.decoder(middle, CODES, t / 2)
            wanted = {"velocity": middle - says / 2, "image": says, "noise": 2 * middle - says}[kind]
            torch.testing.assert_close(tokenizer.solve(CODES, noise, settings), wanted, rtol=1e-4, atol=1e-4)


@catches("semtok.sampling", "times if settings.jump_at is None else", "times if settings.num_steps else")
def test_a_late_jump_ends_at_the_image_estimate_of_its_time():
    """Of four even steps those at 1 and 3/4 are made, and the one at 1/2 goes all the way."""
    tokenizer, noise = tiny_tokenizer(model=SemTok), torch.randn(3, 1, 16, 16, generator=generator(1))
    times, x = [], noise
    hook = tokenizer.decoder.register_forward_hook(lambda _, inputs, __: times.append(inputs[2][0].item()))
    settings = SamplerConfig(num_steps=4, power=1, guidance=1, jump_at=0.6)
    with torch.no_grad():
        end = tokenizer.solve(CODES, noise, settings)
        hook.remove()
        for now, then in ((1.0, 0.75), (0.75, 0.5), (0.5, 0.0)):
            x = x + (then - now) * tokenizer.decoder(x, CODES, torch.full((3,), now))
    assert times == [1.0, 0.75, 0.5]
    torch.testing.assert_close(end, x)


@catches("semtok.refiner", "t[:, None, None, None], self.prediction)", 't[:, None, None, None], "velocity")')
@catches("semtok.train_refiner", "sizes.working_size, sizes.prediction", "sizes.working_size")
def test_stage_two_starts_at_the_jump_of_stage_one():
    noise = torch.randn(3, 1, 16, 16, generator=generator(5))
    for kind in KINDS:
        stage_one = tiny_tokenizer(prediction=kind)
        config = tiny("refiner.input=noise", f"tokenizer.prediction={kind}")
        model = train_refiner.with_refiner(stage_one, config, None).eval()
        with torch.no_grad():
            jump = stage_one.solve(CODES, noise, SamplerConfig(num_steps=1, guidance=1))
            torch.testing.assert_close(model.refiner(noise, CODES), jump, rtol=1e-4, atol=1e-4)


@catches(
    "semtok.train_tokenizer", "draws.t[:, None, None, None], *kinds)", "draws.t[:, None, None, None], *kinds[::-1])"
)
@catches(
    "semtok.train_tokenizer", "draws.t[:, None, None, None], prediction)", 'draws.t[:, None, None, None], "velocity")'
)
def test_stage_ones_terms_take_the_output_for_what_it_is():
    """An image is predicted, the loss is of the noise."""
    tokenizer, images, t = tiny_tokenizer(prediction="image"), pictures(), torch.tensor([0.2, 0.5, 0.9])
    draws = Draws(t, torch.randn(3, 1, 16, 16, generator=generator(1)), torch.zeros(3, 4, dtype=torch.bool))
    out = tokenizer(images, draws)
    losses = tiny("losses.flow_loss_space=noise", "losses.perceptual_weight=0").losses
    terms = train_tokenizer.LossTerms(losses, tokenizer)
    weight = ((1 - t) / t).square()[:, None, None, None]
    expected = (weight * (out.predicted - images).square()).mean()
    torch.testing.assert_close(terms(images, draws, out)["flow"], expected)
    assert torch.equal(terms.one_step(draws, out), out.predicted)


def test_patches_wider_than_the_decoder_are_for_predicted_images_alone():
    wide = ("tokenizer.image_channels=3", "tokenizer.prediction=image")
    assert tiny(*wide).tokenizer.prediction == "image"
