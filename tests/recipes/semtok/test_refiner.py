"""The refiner before any step: the decoder's own jump to the image, from noise, its mean or a sample."""

import torch

from _support.mutants import catches
from _support.semtok_runs import generator, tiny_tokenizer
from semtok.refiner import Refiner

SUBJECT = "semtok.refiner"


@catches(SUBJECT, "else to_image(out, start,", "else to_image(-out, start,")
@catches(SUBJECT, '"sample" else 1.0', '"sample" else 0.0')
@catches(SUBJECT, "self.network.reset_output()", "pass")
def test_the_first_image_is_the_decoders_own_jump_or_the_sample_as_it_is():
    tokenizer = tiny_tokenizer()
    noise = torch.randn(3, 1, 16, 16, generator=generator(1))
    codes = torch.randn(3, 4, 6, generator=generator(11)).sign() / 6**0.5
    ones = torch.ones(3)
    first = {kind: Refiner(tokenizer.decoder, kind, 1, 16).eval() for kind in ("constant", "noise", "sample")}
    with torch.no_grad():
        jump = -tokenizer.decoder(torch.zeros_like(noise), codes, ones)
        torch.testing.assert_close(first["constant"](noise, codes), jump, rtol=1e-4, atol=1e-5)
        jump = noise - tokenizer.decoder(noise, codes, ones)
        torch.testing.assert_close(first["noise"](noise, codes), jump, rtol=1e-4, atol=1e-5)
        assert torch.equal(first["sample"](noise, codes), noise)
