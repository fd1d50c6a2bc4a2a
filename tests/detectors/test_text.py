"""Class embeddings through the truncated text tower, against the full computation of CLIP itself."""

import open_clip
import pytest
import torch
from torch.testing import assert_close

from avadclip.detectors.parts.text import ClassPrompts, TextTower, token_template
from avadclip.errors import CheckpointError, ConfigError
from tests.support.training_factory import CLASSES, CLIP, TEXT_WIDTH, dimensions, text_tower


def full_length_embeddings(clip: open_clip.CLIP, prompts: ClassPrompts, prefix: int, suffix: int) -> torch.Tensor:
    """Embed all 77 positions, class by class, with the name put between the learned vectors by hand."""
    embeddings = []
    for name in CLASSES:
        tokens = open_clip.tokenize([name])[0]
        end = int(tokens.argmax())
        x = prompts.context.clone()
        x[0] = clip.token_embedding(tokens[0])
        for place in range(1, end):
            x[prefix + place] = clip.token_embedding(tokens[place])
        x[prefix + end + suffix] = clip.token_embedding(tokens[end])
        x = clip.transformer((x + clip.positional_embedding)[None], attn_mask=clip.attn_mask)
        embeddings.append(clip.ln_final(x)[0, prefix + end + suffix] @ clip.text_projection)
    return torch.stack(embeddings)


@pytest.mark.parametrize(("prefix", "suffix"), [(10, 10), (0, 3), (4, 0), (0, 0)])
def test_truncated_context_equals_all_77_positions(prefix: int, suffix: int) -> None:
    torch.manual_seed(0)
    clip = open_clip.CLIP(**CLIP).double().requires_grad_(False)
    prompts = ClassPrompts(dimensions(), TextTower(clip, open_clip.tokenize(list(CLASSES))), prefix, suffix).double()
    torch.nn.init.normal_(prompts.context)  # as large as token embeddings after training, so that they matter
    found, expected = prompts(), full_length_embeddings(clip, prompts, prefix, suffix)
    assert_close(found, expected, rtol=0, atol=1e-9)  # float64; in float32 it is 1e-6
    if prefix + suffix:
        weights = torch.randn_like(found)
        wanted, got = (torch.autograd.grad((value * weights).sum(), prompts.context)[0] for value in (expected, found))
        assert got.abs().sum() > 0
        assert_close(got, wanted, rtol=0, atol=1e-9)


def test_no_more_positions_than_the_longest_prompt() -> None:
    template = token_template(text_tower(), prefix=10, suffix=10)
    assert template.fixed.shape == (len(CLASSES), 1 + 10 + 2 + 10 + 1, TEXT_WIDTH)  # SOT, "car accident", EOT


def test_tower_is_neither_trained_nor_saved() -> None:
    tower = text_tower()
    prompts = ClassPrompts(dimensions(), tower, 10, 10)
    prompts().sum().backward()
    assert [name for name, _ in prompts.named_parameters()] == ["context"]
    assert set(prompts.state_dict()) == {"context", "class_embeddings"}
    assert all(p.grad is None and not p.requires_grad for p in tower.transformer.parameters())


def test_constant_embeddings_are_computed_once_when_training_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = ClassPrompts(dimensions(), text_tower(), 10, 10)
    trained = prompts().detach()
    calls = []
    compute = TextTower.__call__
    monkeypatch.setattr(TextTower, "__call__", lambda *args: calls.append(1) or compute(*args))
    prompts.eval()
    assert torch.equal(prompts(), trained)
    assert torch.equal(prompts(), trained)
    assert len(calls) == 1


def test_without_a_tower_there_is_no_training() -> None:
    with pytest.raises(CheckpointError, match="no text tower"):
        ClassPrompts(dimensions(), None, 10, 10)()


def test_a_name_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="takes 104 tokens, but CLIP reads 77"):
        token_template(text_tower(), prefix=50, suffix=50)
