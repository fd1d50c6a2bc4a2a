"""Class embeddings X_c: the class names, with learned context, through CLIP's frozen text tower (paper, sec. III-D)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor, nn

from avadclip.detectors.protocol import Dimensions
from avadclip.encoders.lean import lean_imports
from avadclip.errors import CheckpointError, ConfigError

if TYPE_CHECKING:  # scoring must not wait for open_clip's import
    from open_clip import CLIP

    from avadclip.config.features import Clip


class TextTower:
    """CLIP's frozen text tower. It is deliberately not a module, so that it is neither trained nor saved.

    Parameters
    ----------
    clip : an open_clip CLIP; its image tower is not kept.
    token_ids : int64 [C, any], the class names as CLIP's tokenizer gives them: SOT, name, EOT, padding.
    """

    def __init__(self, clip: "CLIP", token_ids: Tensor) -> None:
        self.token_ids = token_ids
        self.transformer: nn.Module = clip.transformer
        self.normalise: nn.Module = clip.ln_final
        self.token_embedding: Tensor = clip.token_embedding.weight.detach()
        self.positions: Tensor = clip.positional_embedding.detach()
        self.projection: Tensor = clip.text_projection.detach()
        self.transformer.eval().requires_grad_(False)
        self.normalise.requires_grad_(False)

    @property
    def width(self) -> int:
        """Width of a token."""
        return self.positions.shape[1]

    @property
    def context_length(self) -> int:
        """Number of positions of the tower; 77 in CLIP."""
        return self.positions.shape[0]

    @property
    def embedding_width(self) -> int:
        """Width of an embedding."""
        return self.projection.shape[1]

    def __call__(self, tokens: Tensor, ends: Tensor) -> Tensor:
        """Embeddings [C, d] of token vectors [C, n, width] that end (token EOT) at position `ends` [C]."""
        return self.at_end(tokens, ends) @ self.projection

    def at_end(self, tokens: Tensor, ends: Tensor) -> Tensor:
        """The same [C, width] before CLIP's own projection.

        The tower is causal, so n need not be more than the last end + 1.
        """
        self._follow(tokens.device)
        n = tokens.shape[1]
        causal = torch.full((n, n), -torch.inf, device=tokens.device).triu_(1)
        x = self.normalise(self.transformer(tokens + self.positions[:n], attn_mask=causal))
        found: Tensor = x[torch.arange(len(x), device=x.device), ends]
        return found

    def _follow(self, device: torch.device) -> None:
        if self.positions.device != device:
            self.transformer.to(device)
            self.normalise.to(device)
            self.positions, self.projection = self.positions.to(device), self.projection.to(device)


def text_tower(clip: "Clip", classes: tuple[str, ...]) -> TextTower:
    """CLIP's text tower of the encoder that made the visual features, with the names of the classes.

    Raises
    ------
    WeightsError, ConfigError : it cannot be loaded.
    """
    with lean_imports():
        import open_clip

        from avadclip.encoders.clip import load_clip
    model = load_clip(clip)
    return TextTower(model, open_clip.tokenize(list(classes), model.context_length))


@dataclass(frozen=True)
class TokenTemplate:
    """Class names as tokens, with room for learned vectors: SOT, prefix, name, suffix, EOT."""

    fixed: Tensor  # float32 [C, n, width], embeddings of SOT, name and EOT; zero where learned vectors go
    learned: Tensor  # bool [C, n]
    ends: Tensor  # int64 [C], position of EOT


def token_template(tower: TextTower, prefix: int, suffix: int, token_ids: Tensor | None = None) -> TokenTemplate:
    """Lay out the class names, `prefix` learned vectors before and `suffix` after each, no longer than needed.

    `token_ids` replace the names of the tower.

    Raises
    ------
    ConfigError : a class name with its learned vectors is longer than the tower's context.
    """
    token_ids = tower.token_ids if token_ids is None else token_ids
    name_ends = token_ids.argmax(dim=1)  # EOT has the highest id
    ends = name_ends + prefix + suffix
    n = int(ends.max()) + 1
    if n > tower.context_length:
        longest = f"a class name with prompt_prefix {prefix} and prompt_suffix {suffix} takes {n} tokens"
        raise ConfigError(f"{longest}, but CLIP reads {tower.context_length}; use a shorter name or fewer vectors")
    fixed = tower.token_embedding.new_zeros(len(token_ids), n, tower.width)
    learned = torch.ones(len(token_ids), n, dtype=torch.bool)
    for c, (tokens, name_end, end) in enumerate(zip(token_ids, name_ends, ends, strict=True)):
        places = torch.tensor([0, *range(prefix + 1, prefix + int(name_end)), int(end)])
        fixed[c, places] = tower.token_embedding[tokens[: name_end + 1]]
        learned[c, places] = False
    return TokenTemplate(fixed, learned, ends)


class ClassPrompts(nn.Module):
    """One table of learned context vectors, shared by the classes and indexed by position -> X_c [C, d].

    In evaluation X_c is constant: it is computed once, when training mode is left, and saved with the detector. So a
    saved detector scores without CLIP's weights, but it cannot be trained without them.

    `frozen` context vectors keep their initial values; with `own_projection`, the tower ends in a copy of its
    projection, which is learned.
    """

    class_embeddings: Tensor
    fixed: Tensor
    learned: Tensor
    ends: Tensor

    def __init__(
        self,
        dimensions: Dimensions,
        tower: TextTower | None,
        prefix: int,
        suffix: int,
        frozen: bool = False,
        own_projection: bool = False,
    ) -> None:
        super().__init__()
        context = torch.empty(dimensions.context_length, dimensions.text_width).normal_(std=0.01)
        self.context = nn.Parameter(context, requires_grad=not frozen)
        self.register_buffer("class_embeddings", torch.zeros(dimensions.n_classes, dimensions.embedding_width))
        shape = dimensions.text_width, dimensions.embedding_width
        self.projection = nn.Parameter(torch.zeros(shape)) if own_projection else None
        self._tower = tower
        if tower is not None:
            if self.projection is not None:
                self.projection.data.copy_(tower.projection)
            template = token_template(tower, prefix, suffix)
            for name in ("fixed", "learned", "ends"):
                self.register_buffer(name, getattr(template, name), persistent=False)

    def train(self, mode: bool = True) -> Self:
        """Switch to training (or evaluation, and then compute X_c once)."""
        if self.training and not mode and self._tower is not None:
            with torch.no_grad():
                self.class_embeddings.copy_(self._compute(self._tower))
        return super().train(mode)

    def forward(self) -> Tensor:
        if not self.training:
            return self.class_embeddings
        if self._tower is None:
            raise CheckpointError(
                "a detector from a checkpoint has no text tower and cannot be trained; train a new one"
            )
        return self._compute(self._tower)

    def _compute(self, tower: TextTower) -> Tensor:
        context = self.context[: self.fixed.shape[1]]
        tokens = torch.where(self.learned[:, :, None], context, self.fixed)
        if self.projection is None:
            return tower(tokens, self.ends)
        return tower.at_end(tokens, self.ends) @ self.projection
