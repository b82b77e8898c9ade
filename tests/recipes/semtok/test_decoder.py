"""What the velocity field sees of the tokens."""

import torch

from _support.mutants import catches
from _support.semtok_runs import generator, tiny_tokenizer
from semtok.decoder import Decoder

SUBJECT = "semtok.decoder"
NOISE = torch.randn(3, 1, 16, 16, generator=generator(1))
TIMES = torch.tensor([0.2, 0.5, 0.9])
HIDDEN = torch.tensor([[False] * 4, [False, False, True, True], [True] * 4])


def lively_decoder():
    decoder = Decoder(1, 4, 4, 4, 6, width=16, depth=1, num_heads=2)
    decoder.load_state_dict(tiny_tokenizer().decoder.state_dict())
    return decoder.eval()


@catches(SUBJECT, "codes * self.code_scale", "codes")
def test_codes_of_length_1_are_embedded_as_signs_whatever_their_number_of_bits():
    decoder = lively_decoder()
    seen = []
    decoder.embed_codes.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    codes = torch.randn(3, 4, 6, generator=generator(8)).sign()
    decoder(NOISE, codes / 6**0.5, TIMES)
    torch.testing.assert_close(seen[0], codes, rtol=1e-4, atol=1e-5)


@catches(SUBJECT, "where(hidden[", "where(~hidden[")
@catches(SUBJECT, "if hidden is not None", "if False")
def test_what_is_hidden_changes_nothing_and_what_is_not_changes_the_answer():
    decoder = lively_decoder()
    codes = torch.randn(3, 4, 6, generator=generator(9)).sign() / 6**0.5
    answer = decoder(NOISE, codes, TIMES, HIDDEN)
    assert torch.equal(answer, decoder(NOISE, torch.where(HIDDEN[..., None], -codes, codes), TIMES, HIDDEN))
    other = decoder(NOISE, torch.where(HIDDEN[..., None], codes, -codes), TIMES, HIDDEN)
    changed = (other - answer).abs().amax((1, 2, 3)) > 1e-4
    assert changed.tolist() == [True, True, False]
