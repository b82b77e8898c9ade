"""An editor replaces the token that is meant, and finds the codes near one."""

import pytest
import torch

from _support.few_tokens import few_codes, few_images, few_tokens, painted
from _support.mutants import catches
from vistok.metrics import to_uint8
from vistok.workbench.inspection.codes import neighbours_of_codes
from vistok.workbench.inspection.editor import EditedBook, TokenEditor

SUBJECT = "vistok.workbench.inspection.editor"


def editor():
    books = [EditedBook("a", 5, few_codes()), EditedBook("b", 16)]
    return TokenEditor(
        "few", lambda images: [few_tokens(1), few_tokens(1, seed=3)], painted, books, few_images().images
    )


@catches(SUBJECT, "changed[book].view(-1)[place] = number", "changed[book][place % 2, place // 2] = number")
@catches(SUBJECT, "[each.clone() for each in tokens]", "list(tokens)")
def test_one_token_is_replaced_and_what_was_given_stays():
    tokens = editor().tokens(few_images().images[0])
    before = [each.clone() for each in tokens]
    changed = editor().replaced(tokens, 1, 2, 7)
    assert all(torch.equal(one, other) for one, other in zip(tokens, before, strict=True))
    assert torch.equal(changed[0], tokens[0])
    assert changed[1].flatten().tolist() == [*tokens[1].flatten()[:2].tolist(), 7, int(tokens[1][1, 1])]
    assert torch.equal(editor().image(changed), to_uint8(painted([each[None] for each in changed]))[0])


@catches(SUBJECT, "0 <= place < length", "0 <= place <= length")
@catches(SUBJECT, "0 <= number < size", "number < size")
def test_a_place_or_a_code_that_is_not_there_is_told():
    tokens = editor().tokens(few_images().images[0])
    with pytest.raises(ValueError, match="token: expected a place of 0 to 3, got 4"):
        editor().replaced(tokens, 0, 4, 0)
    with pytest.raises(ValueError, match="code: expected a number of 0 to 4, got -1"):
        editor().replaced(tokens, 0, 0, -1)
    with pytest.raises(ValueError, match="got 5"):
        editor().replaced(tokens, 0, 0, 5)


@catches(SUBJECT, "number ^ (1 << bit)", "number | (1 << bit)")
@catches(SUBJECT, "1 - 2 / bits", "1 - 1 / bits")
def test_the_nearest_codes_of_bits_differ_in_one():
    signs = (torch.arange(16)[:, None] >> torch.arange(4)) % 2 * 2.0 - 1
    near = EditedBook("b", 16).nearest(6, 4)
    rows, cosines = neighbours_of_codes(signs, torch.tensor([6]), 4)
    assert sorted(number for number, _ in near) == sorted(rows[0].tolist())
    assert [cosine for _, cosine in near] == pytest.approx(cosines[0].tolist())
    found = EditedBook("a", 5, few_codes()).nearest(3, 2)
    assert [number for number, _ in found] == neighbours_of_codes(few_codes(), torch.tensor([3]), 2)[0][0].tolist()
