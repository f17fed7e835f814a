"""Formulas of topics beside brute force, closed forms and scikit-learn: coherence, clusters, contrast, TF-IDF, the ELBO."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.feature_extraction.text import TfidfTransformer

from engram.errors import DataError
from engram.evaluation import topics
from engram.evaluation.apart import is_worse
from engram.evaluation.baselines.topics import TOPIC_BASELINES
from engram.maths.contrast import info_nce
from engram.metrics.topics import normalised_mutual_information, npmi, purity, topic_diversity, word_pairs
from engram.models.document_features import DocumentFeatures
from engram.models.topic_mixture import TopicMixture
from engram.networks.bags import Bag, BagEncoder

rng = np.random.default_rng(0)
COUNTS = rng.poisson(0.6, (40, 9)) * (np.arange(9) != 8)  # the last word is nowhere
WORDS = np.array([[0, 1, 2], [3, 8, 4], [5, 6, 7]])


def test_coherence_is_the_mean_npmi_of_pairs_of_words() -> None:
    expected = []
    for topic in WORDS:
        values = []
        for i in range(3):
            for j in range(i):
                a, b = COUNTS[:, topic[i]] > 0, COUNTS[:, topic[j]] > 0
                both = float((a & b).mean())
                values.append(math.log(both / (a.mean() * b.mean())) / -math.log(both) if both else -1.0)
        expected.append(np.mean(values))
    for given in (COUNTS, sparse.csr_array(COUNTS)):
        pairs = word_pairs(given, WORDS)
        assert npmi(pairs, 40) == pytest.approx(expected)
        assert pairs[0, 0, 0] == (COUNTS[:, 0] > 0).sum()
    assert npmi(pairs[:, :2, :2], 40)[1] == -1.0  # a pair that no document has


def test_coherence_at_its_ends() -> None:
    always = np.ones((5, 2))
    assert npmi(word_pairs(always, np.array([[0, 1]])), 5) == pytest.approx([1.0])
    together = np.array([[1, 1], [1, 1], [0, 0], [0, 0]])
    assert npmi(word_pairs(together, np.array([[0, 1]])), 4) == pytest.approx([1.0])
    chance = np.array([[1, 1], [1, 0], [0, 1], [0, 0]])
    assert npmi(word_pairs(chance, np.array([[0, 1]])), 4) == pytest.approx([0.0])
    assert np.isnan(npmi(word_pairs(chance, np.array([[0]])), 4)).all()
    with pytest.raises(DataError, match="documents"):
        npmi(np.zeros((1, 2, 2)), 0)


def test_diversity_purity_and_information_by_counting() -> None:
    assert topic_diversity(np.array([["a", "b"], ["b", "c"]])) == 0.75
    clusters, labels = rng.integers(0, 4, 60), rng.integers(0, 3, 60).astype(str)
    most = sum(max(Counter(labels[clusters == c]).values()) for c in set(clusters))
    assert purity(clusters, labels) == pytest.approx(most / 60)

    def entropy(values: list) -> float:
        return -sum(n / 60 * math.log(n / 60) for n in Counter(values).values())

    both = entropy(list(zip(clusters, labels, strict=True)))
    one, other = entropy(list(clusters)), entropy(list(labels))
    assert normalised_mutual_information(clusters, labels) == pytest.approx(2 * (one + other - both) / (one + other))
    assert purity(labels, labels) == normalised_mutual_information(labels, labels) == 1.0
    with pytest.raises(DataError, match="shapes"):
        purity(clusters, labels[:5])


def test_contrast_is_the_cross_entropy_of_finding_ones_own_view() -> None:
    first, second = (torch.nn.functional.normalize(torch.randn(6, 3), dim=1) for _ in range(2))
    for i, value in enumerate(info_nce(first, second, 0.5)):
        s = (first @ second.T / 0.5).numpy()
        there = math.log(np.exp(s[i]).sum()) - s[i, i]
        back = math.log(np.exp(s[:, i]).sum()) - s[i, i]
        assert float(value) == pytest.approx((there + back) / 2, rel=1e-5)
    same = first[:1].expand(6, -1)
    assert info_nce(same, same, 0.5) == pytest.approx([math.log(6)] * 6)  # chance


def test_a_bag_is_the_counts_weighed_as_scikit_learn_does() -> None:
    x = torch.from_numpy(COUNTS).float()
    bag, encoder = Bag.of(x), BagEncoder(9, 4, 3, 0.0)
    assert (bag.matrix(9).toarray() == COUNTS).all()
    encoder.weigh([Bag.of(x[:15]), Bag.of(x[15:])])
    expected = TfidfTransformer(sublinear_tf=True).fit(COUNTS).transform(COUNTS).toarray()
    found = bag._replace(times=bag.tf_idf(encoder.idf)).matrix(9).toarray()
    assert found == pytest.approx(expected, rel=1e-5)


def test_halves_of_documents_are_dealt_by_a_fair_coin() -> None:
    bag = Bag.of(torch.full((2000, 2), 7.0))
    first, second = bag.halves(torch.Generator().manual_seed(0))
    assert (first.times + second.times == 7).all()
    assert set(first.times.tolist()) == {0.0, 7.0}  # no word is in both
    assert (first.times == 7).float().mean() == pytest.approx(0.5, abs=0.03)


def test_codes_are_those_of_a_dense_network_and_of_unit_length() -> None:
    x = torch.from_numpy(COUNTS).float()
    encoder = BagEncoder(9, 4, 3, 0.0).eval()
    encoder.weigh([Bag.of(x)])
    weights = torch.from_numpy(TfidfTransformer(sublinear_tf=True).fit(COUNTS).transform(COUNTS).toarray()).float()
    hidden = torch.nn.functional.softplus(20 * weights @ encoder.words + encoder.bias)
    expected = torch.nn.functional.normalize(encoder.scale(encoder.head(hidden)), dim=1)
    torch.testing.assert_close(encoder(Bag.of(x)), expected, rtol=1e-4, atol=1e-6)


def test_the_terms_are_the_negative_elbo_of_the_mixture(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    mixture = TopicMixture(3, 9, 2)
    with torch.no_grad():
        for parameter in mixture.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    x = torch.from_numpy(COUNTS[:6]).float()
    x[2] = 0.0
    codes, noise = torch.nn.functional.normalize(torch.randn(6, 2), dim=1), torch.randn(6, 3)
    monkeypatch.setattr(
        "engram.models.topic_mixture.reparameterise", lambda mean, log_var: mean + (0.5 * log_var).exp() * noise
    )
    bag = Bag.of(x)
    found = mixture.terms(codes, bag)
    mean = mixture.log_scale.exp() * codes @ torch.nn.functional.normalize(mixture.prototypes, dim=1).T
    theta = (mean + (0.5 * mixture.log_var).exp() * noise).softmax(1)
    weight = bag._replace(times=mixture.weights(bag)).matrix(9).toarray()
    assert weight.sum(1) == pytest.approx(x.sum(1).numpy(), rel=1e-5)  # a document counts as many words as it has
    words = -(torch.from_numpy(weight) * (theta @ mixture.words.softmax(1)).log()).sum(1)
    torch.testing.assert_close(found["words"], words, rtol=1e-4, atol=1e-5)
    q = torch.distributions.Normal(mean, (0.5 * mixture.log_var).exp())
    p = torch.distributions.Normal(mixture.prior_mean, (0.5 * mixture.prior_log_var).exp())
    torch.testing.assert_close(found["kl"], torch.distributions.kl_divergence(q, p).sum(1), rtol=1e-4, atol=1e-5)
    shares = mixture.proportions(codes, bag)
    torch.testing.assert_close(shares.sum(1), torch.ones(6))
    torch.testing.assert_close(shares[2], mixture.prior_mean.softmax(0))  # no word: what the prior expects


def test_topics_begin_at_clusters_of_codes() -> None:
    torch.manual_seed(0)
    codes = torch.nn.functional.normalize(torch.eye(3).repeat(20, 1) + 0.01 * torch.randn(60, 3), dim=1)
    x = torch.zeros(60, 6)
    for i in range(60):
        x[i, 2 * (i % 3) : 2 * (i % 3) + 2] = 2.0
    mixture = TopicMixture(3, 6, 3)
    mixture.begin(codes, [Bag.of(x[:25]), Bag.of(x[25:])], torch.ones(6))
    assert sorted(sorted(topic) for topic in mixture.first_words(2).tolist()) == [[0, 1], [2, 3], [4, 5]]
    p = mixture.words.detach().softmax(1)
    torch.testing.assert_close(mixture.importance(), p * (p / mixture.background).log())
    main = mixture.proportions(codes, Bag.of(x)).argmax(1).reshape(20, 3)
    assert (main == main[0]).all()
    assert main[0].unique().numel() == 3


def test_topics_begin_at_all_classes_of_documents_that_stand_in_the_order_of_their_classes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("engram.models.topic_mixture.CLUSTERED", 60)
    torch.manual_seed(0)
    directions = torch.eye(5)
    codes = torch.nn.functional.normalize(directions.repeat_interleave(60, 0) + 0.01 * torch.randn(300, 5), dim=1)
    mixture = TopicMixture(5, 5, 5)
    mixture.begin(codes, [Bag.of((codes > 0.5).float())], torch.ones(5))
    nearest = (directions @ mixture.prototypes.detach().T).max(1).values
    assert nearest.min() > 0.99, nearest


@pytest.mark.parametrize("cls", TOPIC_BASELINES, ids=lambda cls: cls.name)
def test_baselines_find_topics_that_are_there(cls: type) -> None:
    y = np.arange(600) % 3
    chances = np.full((3, 12), 0.02)
    for topic in range(3):
        chances[topic, 4 * topic : 4 * topic + 4] = 2.0
    counts = sparse.csr_array(np.random.default_rng(0).poisson(chances[y]))
    fitted = cls().fit(counts, 3, random_state=0)
    shares = fitted.transform(counts)
    assert shares.sum(1) == pytest.approx(np.ones(600))
    assert purity(shares.argmax(1), y) > 0.9
    assert sorted(sorted(topic) for topic in fitted.first_words(4).tolist()) == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9, 10, 11],
    ]


def test_features_are_components_of_codes_beside_latent_semantic_analysis() -> None:
    bag, idf = Bag.of(torch.from_numpy(COUNTS).float()), torch.linspace(1, 2, 9)
    codes = torch.nn.functional.normalize(torch.from_numpy(rng.normal(size=(40, 3))).float(), dim=1)
    made = DocumentFeatures(9, 3)
    made.fit(codes, [bag], idf, 0)
    weights = bag._replace(times=bag.tf_idf(idf)).matrix(9).toarray().astype(float)
    u, s, _ = np.linalg.svd(weights, full_matrices=False)
    places = u[:, :8] * s[:8] ** 0.5  # eight words are somewhere
    both = np.hstack([codes.numpy(), places / np.linalg.norm(places, axis=1, keepdims=True)])
    centred = both - both.mean(0)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    expected = centred @ vectors[:, ::-1][:, :3]
    found = made(codes, bag, idf).numpy()
    assert found.shape == (40, 3)
    assert np.abs(found.T @ found - np.diag(values[::-1][:3])).max() < 1e-3
    signs = np.sign((found * expected).sum(0))
    assert found == pytest.approx(expected * signs, abs=1e-4)


def test_the_error_of_coherence_is_that_of_its_documents() -> None:
    """Bootstrap deviations of the quick form are of the same value as the formula's; and grow where documents are few."""
    counts = sparse.csr_array(np.random.default_rng(0).poisson(0.4, (400, 12)))
    words = np.arange(12).reshape(2, 6)
    there = (counts.toarray() != 0).astype(np.float32).reshape(400, 2, 6)
    assert topics._coherence(there) == pytest.approx(npmi(word_pairs(counts, words), 400).mean())
    found = {
        one.name: (value, moved.std(ddof=1))
        for one, value, moved in topics._values(words, there[:, :, 0], counts, None, 0)
    }
    drawn = [np.random.default_rng(seed).integers(400, size=400) for seed in range(60)]
    spread = np.std([npmi(word_pairs(counts[rows], words), 400).mean() for rows in drawn], ddof=1)
    assert found["coherence"][0] == npmi(word_pairs(counts, words), 400).mean()
    assert found["coherence"][1] == pytest.approx(spread, rel=0.35)


@pytest.mark.parametrize(
    ("lost", "error", "own", "told"),
    [
        (0.3, 0.1, 0.1, True),
        (0.2, 0.1, 0.1, False),
        (0.3, 0.01, 0.7, False),
        (0.3, math.nan, 0.1, False),
        (-1, 0.0, 0.0, False),
    ],
)
def test_a_difference_is_told_beyond_two_of_its_errors(lost: float, error: float, own: float, told: bool) -> None:
    assert is_worse(lost, error, own) == told
