"""SemTok: double-stream encoder, quantizer, diffusion decoder (stage I), refiner (stage II)."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from semtok.config import RefinerKind, SamplerConfig
from semtok.decoder import Decoder
from semtok.draws import Draws
from semtok.lengths import check_length
from semtok.nested import from_all_and_some
from semtok.prediction import to_velocity
from semtok.refiner import Refiner
from semtok.sampling import sampler_guidance, sampler_times
from semtok.tokenizer_config import TokenizerConfig
from vistok.generators import flow_path, guide, solve_ode
from vistok.tokenizers import QueryEncoder
from vistok.workbench.backbones.pretrained import Pretrained
from vistok.workbench.data import check_images, check_values


class LatentSpace(Protocol):
    """An encode/decode pair, such as a pretrained VAE with its scaling, in whose latents a tokenizer can work."""

    def encode(self, images: Tensor) -> Tensor:
        """Images in [-1, 1] to latents of about unit deviation."""

    def decode(self, latents: Tensor) -> Tensor:
        """Latents to images."""


class TrainingOutput(NamedTuple):
    """What stage I's losses need of one pass; images are those of the space that the networks work in."""

    target: Tensor  # the clean input
    x_t: Tensor
    velocity: Tensor  # that the path has
    predicted: Tensor  # what the decoder says: a velocity, an image or noise
    predicted_from_some: Tensor | None  # that it says with some of the tokens; none without nested dropout
    patches: Tensor  # the encoder's image stream (B, h, w, width)
    features: Tensor  # its query stream (B, N, L), before quantization
    quantized: Tensor  # after it (B, N, L), straight-through
    codes: Tensor  # the chosen codes, with gradient to what is learned of the codebook
    hidden: Tensor | None = None  # the decoder's patches (B, h, w, width) after the block that was asked for


class SemTok(
    nn.Module,
    Pretrained,
    library_name="vistok",
    coders={
        TokenizerConfig: (lambda c: c.model_dump(mode="json"), lambda values: TokenizerConfig(**values)),
        SamplerConfig: (lambda c: c.model_dump(mode="json"), lambda values: SamplerConfig(**values)),
    },
):
    """The tokenizer. Images are ``(B, C, H, W)`` in [-1, 1], tokens ``(B, N)`` int64, numbers of codes.

    Images of any float dtype are taken in that of the weights, and come back in float32.

    What takes tokens takes the first ones of each image, ``(B, k)``, too: the others are hidden from the decoder.

    Args:
        settings: Sizes.
        refiner: Stage II: what it makes an image from in one step (``"constant"``, ``"noise"``, ``"sample"``), or
            how it learned to take a few from noise (``"sampler"``, ``"mean_flow"``); ``None``: images are stage I's.
        sampler: How stage I samples unless told otherwise.
        space: The latent space to work in, where ``settings.space_channels`` says so. It is not saved with the weights:
            give it again as ``SemTok.from_pretrained(folder, space=space)``.
        refiner_steps: How many steps the last two take unless ``tokenizer.refiner.num_steps`` is set to others.
    """

    def __init__(
        self,
        settings: TokenizerConfig,
        refiner: RefinerKind | None = None,
        sampler: SamplerConfig = SamplerConfig(),  # noqa: B008
        space: LatentSpace | None = None,
        refiner_steps: int = 1,
    ) -> None:
        super().__init__()
        if (settings.space_channels is None) != (space is None):
            expected = "none" if settings.space_channels is None else f"one of {settings.space_channels} channels"
            raise ValueError(f"space: expected {expected} for these settings, got {'none' if space is None else 'one'}")
        self.settings, self.sampler = settings, sampler
        self._space = (space,)  # in a tuple, so that its weights are not this module's
        sizes = (settings.channels, settings.grid_size, settings.patch_size, settings.num_tokens, settings.code_dim)
        self.encoder = QueryEncoder(
            *sizes, width=settings.encoder_width, depth=settings.encoder_depth, num_heads=settings.encoder_heads
        )
        self.quantizer: Any = settings.quantizer.build(settings.bits)
        self.decoder = Decoder(
            *sizes, width=settings.decoder_width, depth=settings.decoder_depth, num_heads=settings.decoder_heads
        )
        if not settings.quantizer.unit_length:
            self.decoder.code_scale = 1.0
        shape = (settings.channels, settings.working_size, settings.prediction)
        self.refiner = None if refiner is None else Refiner(self.decoder, refiner, *shape, num_steps=refiner_steps)

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        space: LatentSpace | None = None,
        revision: str | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
    ) -> "SemTok":
        """The tokenizer of a folder or of the hub, see :class:`vistok.workbench.backbones.pretrained.Pretrained`."""
        hub: dict[str, Any] = {"revision": revision, "token": token, "local_files_only": local_files_only}
        return super().from_pretrained(pretrained_model_name_or_path, given={"space": space}, **hub)

    @property
    def codebook_sizes(self) -> tuple[int]:
        """How many codes a token has."""
        return (self.settings.codebook_size,)

    @property
    def device(self) -> torch.device:
        """Where the weights are; inputs are brought there and outputs stay there."""
        return self.decoder.unseen.device

    @torch.no_grad()
    def to_space(self, images: Tensor) -> Tensor:
        """What the networks see of images: themselves, or their latents."""
        check_images(images, channels=self.settings.image_channels, stride=self.settings.stride)
        (space,) = self._space
        images = images.to(self.device)
        seen = images if space is None else _in_float32(space.encode, images)
        return seen.to(self.decoder.unseen.dtype)

    def from_space(self, values: Tensor) -> Tensor:
        """Inverse of :meth:`to_space`; gradients pass."""
        (space,) = self._space
        return values.float() if space is None else _in_float32(space.decode, values)

    @torch.no_grad()
    def encode(self, images: Tensor, num_tokens: int | None = None) -> Tensor:
        """Images to tokens, or to the first ``num_tokens`` of them."""
        check_values(images)
        tokens: Tensor = self.quantizer(self.features(images)).indices
        return tokens if num_tokens is None else tokens[:, : check_length(num_tokens, self.settings.num_tokens)]

    def features(self, images: Tensor) -> Tensor:
        """What the queries gather of images, before quantization ``(B, N, L)``."""
        features: Tensor = self.encoder(self.to_space(images)).features
        return features

    @torch.no_grad()
    def codes(self, tokens: Tensor) -> Tensor:
        """The codes ``(B, k, L)`` of tokens ``(B, k)``."""
        most = self.settings.num_tokens
        if tokens.ndim != 2 or not 1 <= tokens.shape[1] <= most:
            raise ValueError(f"tokens: expected (B, {most}), or fewer of each image, got {tuple(tokens.shape)}")
        codes: Tensor = self.quantizer.indices_to_codes(tokens.to(self.device))
        return codes

    @torch.no_grad()
    def sample(
        self,
        tokens: Tensor,
        sampler: SamplerConfig | None = None,
        *,
        hidden: Tensor | None = None,
        size: tuple[int, int] | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Stage I: images of tokens, from noise in the steps of ``sampler``; clamped to [-1, 1].

        ``hidden``, bool of the shape of ``tokens``, marks those that are not known.
        """
        noise = self._noise(len(tokens), size, generator)
        return self.from_space(self.solve(self.codes(tokens), noise, sampler, hidden)).clamp(-1, 1)

    @torch.no_grad()
    def refine(
        self,
        tokens: Tensor,
        sampler: SamplerConfig | None = None,
        *,
        hidden: Tensor | None = None,
        size: tuple[int, int] | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Stage II: images of tokens in the refiner's one call, or few; clamped to [-1, 1].

        A refiner of input "sample" goes on from what stage I's ``sampler`` makes.
        """
        return self.refine_from(tokens, self._noise(len(tokens), size, generator), sampler, hidden=hidden)

    @torch.no_grad()
    def refine_from(
        self, tokens: Tensor, start: Tensor, sampler: SamplerConfig | None = None, *, hidden: Tensor | None = None
    ) -> Tensor:
        """As :meth:`refine`, from noise ``start (B, C, H, W)`` of the working space."""
        if self.refiner is None:
            raise ValueError("refine: this tokenizer has no refiner; train-refiner makes one, sample() needs none")
        codes = self.codes(tokens)
        if self.refiner.kind == "sample":
            start = self.solve(codes, start, sampler, hidden)
        return self.from_space(self.refiner(start, codes, _to(hidden, self.device))).clamp(-1, 1)

    def decode(
        self,
        tokens: Tensor,
        *,
        hidden: Tensor | None = None,
        size: tuple[int, int] | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Tokens to images: :meth:`refine` where there is a refiner, else :meth:`sample`."""
        decode = self.sample if self.refiner is None else self.refine
        return decode(tokens, hidden=hidden, size=size, generator=generator)

    def reconstruct(self, images: Tensor) -> Tensor:
        """Images through their tokens."""
        return self.decode(self.encode(images), size=(images.shape[-2], images.shape[-1]))

    def solve(
        self, codes: Tensor, noise: Tensor, sampler: SamplerConfig | None = None, hidden: Tensor | None = None
    ) -> Tensor:
        """Carry noise to (unclamped) values of the working space along the guided velocity of ``codes (B, N, L)``."""
        settings = sampler or self.sampler
        hidden = _to(hidden, self.device)
        everything = torch.ones(codes.shape[:2], dtype=torch.bool, device=self.device)
        guidance = sampler_guidance(settings)

        def velocity(x: Tensor, time: float) -> Tensor:
            t = torch.full((len(x),), time, device=x.device)
            conditional = self.velocity(x, codes, t, hidden)
            scale = guidance.at(time)
            if scale == 1:
                return conditional
            return guide(conditional, self.velocity(x, codes, t, everything), scale)

        return solve_ode(velocity, noise, sampler_times(settings))

    def velocity(self, x_t: Tensor, codes: Tensor, t: Tensor, hidden: Tensor | None = None) -> Tensor:
        """What stage I's decoder says of the velocity at ``x_t (B, C, H, W)`` and ``t (B,)``, float32."""
        output = self.decoder(x_t, codes, t, hidden).float()
        return to_velocity(output, x_t, t[:, None, None, None], self.settings.prediction)

    def forward(self, images: Tensor, draws: Draws, decoder_block: int | None = None) -> TrainingOutput:
        """One training pass of stage I; see :class:`TrainingOutput`."""
        x = self.to_space(images)
        encoded = self.encoder(x)
        quantized, codes, _ = self.quantizer(encoded.features)
        path = flow_path(x, draws.noise, draws.t[:, None, None, None])
        blocks: list[Tensor] | None = [] if decoder_block else None
        decoder = partial(self.decoder, blocks=blocks)
        seen = from_all_and_some(decoder, path.x_t, quantized, draws.t, draws.hidden, draws.nested)
        hidden = blocks[decoder_block - 1][: len(x)] if blocks and decoder_block else None
        encoder = (encoded.patches, encoded.features, quantized, codes)
        return TrainingOutput(x, path.x_t, path.velocity, *seen, *encoder, hidden)

    def _noise(self, batch: int, size: tuple[int, int] | None, generator: torch.Generator | None) -> Tensor:
        height, width = size or (self.settings.image_size, self.settings.image_size)
        if height % self.settings.stride or width % self.settings.stride:
            raise ValueError(f"size: expected sides divisible by {self.settings.stride}, got {height}x{width}")
        stride = self.settings.space_stride
        shape = (batch, self.settings.channels, height // stride, width // stride)
        return torch.randn(shape, generator=generator).to(self.device)


def _in_float32(through: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
    """Autocast is off within a latent space: every stage sees the same latents."""
    if values.is_meta:  # which has no autocast
        return through(values)
    with torch.autocast(values.device.type, enabled=False):
        return through(values.float())


def _to(hidden: Tensor | None, device: torch.device) -> Tensor | None:
    return None if hidden is None else hidden.to(device)
