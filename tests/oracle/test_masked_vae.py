"""The masked VAE: its loss against the formula, what is hidden, and conditional distributions that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

import engram
from engram.likelihoods import Blocks, Categorical
from engram.maths.divergence import kl_normals, reparameterise
from engram.models import cell_game, masked_vae
from engram.networks.cells import BinTable, CellEncoder, ResidualBlocks
from engram.training import Batch
from engram.training.nets import Nets

SIZES, ORDERED = (3, 4, 2), (0, 4, 0)


WEIGHTS = torch.tensor([1.0, 0.5, 2.0])


def nets(code_size: int = 2) -> Nets:
    torch.manual_seed(0)
    return Nets(masked_vae.roles(SIZES, ORDERED, (16, 16), code_size, 0.0)).eval()


def cells(n: int = 50) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.stack([torch.randint(size, (n,), generator=generator) for size in SIZES], 1)


def test_every_number_of_known_cells_and_every_choice_is_alike_likely() -> None:
    known = masked_vae.hidden_at_random(30_000, 4, torch.Generator().manual_seed(0))
    counts = torch.bincount(known.sum(1), minlength=5) / len(known)
    torch.testing.assert_close(counts, torch.tensor([0.25, 0.25, 0.25, 0.25, 0.0]), atol=0.01, rtol=0)
    torch.testing.assert_close(known.float().mean(0), torch.full((4,), 1.5 / 4), atol=0.01, rtol=0)


def test_terms_are_those_of_the_formula() -> None:
    model, x = nets(), cells()
    batch = Batch(x.float(), generator=torch.Generator().manual_seed(5))
    found = masked_vae.terms(model, batch, WEIGHTS)
    generator = torch.Generator().manual_seed(5)
    known = masked_vae.hidden_at_random(len(x), 3, generator)
    h, *prior = model.prior(x, known)
    _, *own = model.encoder(x)
    logits = model.decoder(h, reparameterise(*own, generator))
    for i in range(len(x)):
        hidden = [j for j in range(3) if not known[i, j]]
        surprise = sum(-WEIGHTS[j] * functional.log_softmax(logits[j][i], 0)[x[i, j]] for j in hidden)
        torch.testing.assert_close(found["surprise"][i], surprise * 3 / len(hidden))
        kl = kl_normals(*(each[i] for each in (*own, *prior))).sum()
        torch.testing.assert_close(found["kl"][i], kl * 3 / len(hidden))


def test_without_a_code_the_loss_is_the_mean_surprise_of_members_given_what_is_known() -> None:
    model, x = nets(0), cells()
    assert set(model) == {"prior", "decoder"}
    found = masked_vae.terms(model, Batch(x.float(), generator=torch.Generator().manual_seed(5)), WEIGHTS)
    assert set(found) == {"surprise"}
    generator, total = torch.Generator().manual_seed(5), torch.zeros(len(x))
    for prior, decoder in zip(model.prior, model.decoder, strict=True):
        known = masked_vae.hidden_at_random(len(x), 3, generator)  # members have other cells hidden
        logits = decoder(prior(x, known)[0], torch.zeros(len(x), 0))
        for i in range(len(x)):
            hidden = [j for j in range(3) if not known[i, j]]
            surprise = sum(-WEIGHTS[j] * functional.log_softmax(logits[j][i], 0)[x[i, j]] for j in hidden)
            total[i] += surprise * 3 / len(hidden)
    torch.testing.assert_close(found["surprise"], total / len(model.prior))


def test_bins_are_drawn_by_the_mean_of_the_members_probabilities() -> None:
    model, x = nets(0), cells(6)
    for decoder in model.decoder:
        torch.nn.init.normal_(decoder.bias)
    known = torch.tensor([[True, False, True]]).expand(6, -1)
    found = masked_vae.logits(model, x, known, 1, masked_vae.tables(model), torch.Generator()).softmax(1)
    each = [d(p(x, known)[0], torch.zeros(6, 0))[1].softmax(1) for p, d in zip(model.prior, model.decoder, strict=True)]
    assert len(each) > 1
    assert not torch.allclose(each[0], each[1], atol=0.05)
    torch.testing.assert_close(found, sum(each) / len(each))


def test_weights_are_inverse_roots_of_entropies() -> None:
    even, skewed, never = [50, 50], [99, 1, 0], [1000, 0]
    h = np.array([np.log(2), -0.99 * np.log(0.99) - 0.01 * np.log(0.01), 0.0])
    root = np.maximum(h, 0.05) ** -0.5
    wanted = torch.tensor(root * h.sum() / (root * h).sum()).float()
    torch.testing.assert_close(masked_vae.weights_of([even, skewed, never]), wanted)
    torch.testing.assert_close(masked_vae.weights_of([[7, 7], [3, 3]]), torch.ones(2))
    torch.testing.assert_close(masked_vae.weights_of([[5]]), torch.ones(1))


def test_blocks_begin_as_nothing_and_are_residual() -> None:
    torch.manual_seed(0)
    blocks, h = ResidualBlocks(6, 1, 0.0), torch.randn(5, 6)
    assert torch.equal(blocks(h), h)
    torch.nn.init.normal_(blocks.second[0].weight)
    centred = h - h.mean(1, keepdim=True)
    inner = functional.silu(blocks.first[0](centred / (centred.square().mean(1, keepdim=True) + 1e-5).sqrt()))
    torch.testing.assert_close(blocks(h), h + blocks.second[0](inner))


def test_features_see_known_cells_alone() -> None:
    torch.manual_seed(0)
    encoder = CellEncoder(SIZES, ORDERED, 8, 1, 0.0).eval()
    x = cells(4)
    known = torch.tensor([[True, False, True]]).expand(4, -1)
    other = x.clone()
    other[:, 1] = (other[:, 1] + 1) % 4
    torch.testing.assert_close(encoder(x, known), encoder(other, known), rtol=0, atol=0)
    assert not torch.allclose(encoder(x), encoder(other))


def test_vectors_of_numbers_are_free_ones_and_cosines_of_their_place() -> None:
    torch.manual_seed(0)
    table = BinTable(SIZES, ORDERED, 5, 1.0)
    found = table()
    torch.testing.assert_close(found[[0, 1, 2, 7, 8]], table.free[[0, 1, 2, 7, 8]])
    place = (torch.arange(4) + 0.5) / 4
    waves = torch.cos(torch.pi * place[:, None] * torch.arange(1, 9))
    torch.testing.assert_close(found[3:7], table.free[3:7] + waves @ table.waves[0])


def test_a_fit_begins_at_the_shares_of_bins() -> None:
    model, x = nets(), cells(400)
    masked_vae.begin(model, x)
    shares = torch.bincount(x[:, 1], minlength=4) + 0.5
    torch.testing.assert_close(model.decoder.bias[3:7].softmax(0), shares / shares.sum())


def test_generated_cells_of_the_game_are_one_hot_with_gradients() -> None:
    torch.manual_seed(0)
    game = Nets(cell_game.roles(SIZES, ORDERED, (16, 16)))
    likelihood = Blocks([Categorical((size,)) for size in SIZES])
    rows = cell_game.generated(game, 7, likelihood, torch.Generator().manual_seed(0), torch.device("cpu"))
    parts = torch.split(rows, SIZES, 1)
    assert all(
        torch.allclose(part.sum(1), torch.ones(7)) and part.detach().round().eq(part.detach()).all() for part in parts
    )
    rows.square().sum().backward()
    assert game.generator.code.weight.grad.abs().sum() > 0
    x = cells(7)
    torch.testing.assert_close(cell_game.one_hot(x, SIZES).sum(1), torch.full((7,), 3.0))
    assert torch.equal(torch.stack([p.argmax(1) for p in torch.split(cell_game.one_hot(x, SIZES), SIZES, 1)], 1), x)


@pytest.mark.slow
def test_draws_have_the_conditional_shares_of_the_rows() -> None:
    """P(b = 1 | a) is .9 for a = 1 and .2 for a = 0; c is a XOR b, which no pair of columns shows."""
    rng = np.random.default_rng(0)
    a = rng.random(4000) < 0.4
    b = rng.random(4000) < np.where(a, 0.9, 0.2)
    rows = pd.DataFrame({"a": a, "b": b, "c": a ^ b})
    model = engram.Synthesizer(model="vae", random_state=0, max_epochs=30).fit(rows)
    drawn = model.sample(4000, random_state=1)
    assert abs(drawn.a.mean() - 0.4) < 0.04
    assert ((drawn.a ^ drawn.b) == drawn.c).mean() > 0.97
    for value, share in ((True, 0.9), (False, 0.2)):
        assert abs(model.sample(4000, given={"a": value}, random_state=2).b.mean() - share) < 0.05
    back = model.sample(4000, given={"b": True, "c": False}, random_state=3)
    assert back.a.mean() > 0.97
