"""The estimators that scikit-learn has not, and their ONNX graphs, against its own answers and cases by hand."""

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from mnistry.models.classical import PixelClassifier, flat
from mnistry.models.estimators import BlockSums, DistanceVotes, GreyLevels, PairwiseSVC, _best_slope, _coupled
from mnistry.models.recipes import find_recipe
from mnistry.reading.reader import Reader
from mnistry.training import onnx_graphs
from mnistry.training.export import check_parity, to_onnx


@pytest.fixture(scope="module")
def X(few_digits):  # noqa: N802
    return flat(few_digits[0])


@pytest.fixture(scope="module")
def others(few_digits):
    """Images that no classifier has seen: digits moved by two pixels, and noise."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 28, 28)).astype(np.uint8)
    return np.concatenate([np.roll(few_digits[0], 2, axis=1), noise])


def test_margins_are_those_of_scikit_learn(X, others, few_digits):
    machine = SVC(C=5, gamma=0.03, decision_function_shape="ovo").fit(X, few_digits[1])
    own = PairwiseSVC(5, 0.03).fit(X, few_digits[1])
    assert np.allclose(own.margins(flat(others)), machine.decision_function(flat(others)), atol=1e-4)


def test_coupled_pairs_answer_as_scikit_learns_votes_on_nearly_all_digits(X, few_digits):
    machine = SVC(C=5, gamma=0.03).fit(X[::2], few_digits[1][::2])
    own = PairwiseSVC(5, 0.03).fit(X[::2], few_digits[1][::2])
    assert (own.predict(X[1::2]) == machine.predict(X[1::2])).mean() > 0.98


def test_the_slope_is_found_that_the_labels_were_drawn_with():
    rng = np.random.default_rng(0)
    margins = rng.normal(size=(3000, 45))
    chances = np.exp(_coupled(margins, 0.7))
    y = (chances.cumsum(axis=1) < rng.random((3000, 1)) * chances.sum(axis=1, keepdims=True)).sum(axis=1)
    assert _best_slope(margins, y) == pytest.approx(0.7, rel=0.1)


def test_margins_are_coupled_as_a_product():
    margins = np.zeros((1, 45))
    margins[0, 0], margins[0, 9] = 3, -2  # 0 against 1, and 1 against 2
    says = 1 / (1 + np.exp(-0.5 * np.array([3, -2])))
    proba = np.full(10, 0.5**9)
    proba[0] *= 2 * says[0]
    proba[1] *= 4 * (1 - says[0]) * says[1]
    proba[2] *= 2 * (1 - says[1])
    assert np.exp(_coupled(margins, 0.5))[0] == pytest.approx(proba)


def test_ten_digits_are_enough_for_support_vectors(X):
    one_each = PairwiseSVC(5, 0.03).fit(X[::30], np.arange(10))
    assert one_each.predict(X[::30]).tolist() == list(range(10))


def test_near_neighbours_have_more_to_say():
    points = np.array([[0.0], [1.0], [2.0], [4.0], [9.0]])
    votes = DistanceVotes(3, smoothing=0.5).fit(points, np.array([7, 3, 3, 1, 1]))
    # squared distances from 0: 0 1 4, and 16 for the first that is not asked: 1, 15/16 and 12/16 votes, 5 beforehand
    total = 1 + 15 / 16 + 12 / 16 + 10 * 0.5
    expected = np.full(10, 0.5 / total)
    expected[7], expected[3] = 1.5 / total, (15 / 16 + 12 / 16 + 0.5) / total
    assert votes.predict_proba([[0.0]])[0] == pytest.approx(expected)


def test_equal_digits_with_different_labels_are_a_tie():
    votes = DistanceVotes(2).fit(np.zeros((5, 3)), np.array([1, 2, 3, 4, 5]))
    proba = votes.predict_proba(np.zeros((1, 3)))[0]
    assert np.isfinite(proba).all()
    assert proba.sum() == pytest.approx(1)


def test_weighted_neighbours_mostly_agree_with_scikit_learns(X, others, few_digits):
    theirs = KNeighborsClassifier(3).fit(X, few_digits[1]).predict(flat(others[:300]))
    assert (DistanceVotes(5).fit(X, few_digits[1]).predict(flat(others[:300])) == theirs).mean() > 0.9


def test_block_sums_are_the_sums_of_the_blocks(few_digits):
    image = few_digits[0][123].astype(int)
    sums = make_pipeline(GreyLevels(), BlockSums()).fit_transform(flat(few_digits[0]))[123]
    assert sums.shape == (196 + 49 + 28 + 28,)
    assert sums[14 * 5 + 7] == image[10:12, 14:16].sum()
    assert sums[196 + 7 * 3 + 4] == image[12:16, 16:20].sum()
    assert sums[196 + 49 :].tolist() == [*image.sum(axis=1), *image.sum(axis=0)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "trees",
    [
        ExtraTreesClassifier(8, random_state=0),
        ExtraTreesClassifier(8, min_samples_leaf=20, random_state=0),  # leaves of several classes
        ExtraTreesClassifier(3, min_samples_leaf=200, random_state=0),  # trees of one leaf
        HistGradientBoostingClassifier(max_iter=3, min_samples_leaf=5, random_state=0),
        HistGradientBoostingClassifier(max_iter=2, min_samples_leaf=200),  # trees of one leaf
    ],
    ids=["pure", "mixed", "stumps", "boosted", "boosted-stumps"],
)
def test_trees_are_written_exactly(trees, few_digits, others):
    classifier = PixelClassifier(make_pipeline(GreyLevels(), trees), 0).fit(*few_digits)
    assert onnx_graphs.can_write(classifier.estimator_)
    assert check_parity(to_onnx(classifier), others, classifier.predict_proba(others))["largest_difference"] < 1e-6


def test_support_vectors_are_kept_as_the_grey_levels_that_they_are(few_digits):
    classifier = find_recipe("svm").build(0).fit(*few_digits)
    vectors = classifier.estimator_.support_vectors_
    assert len(to_onnx(classifier)) < vectors.size + len(vectors) * 45 * 4 + 20_000


def test_other_estimators_go_to_onnx_by_skl2onnx(few_digits):
    classifier = PixelClassifier(RandomForestClassifier(5), 0).fit(*few_digits)
    assert not onnx_graphs.can_write(classifier.estimator_)
    images = few_digits[0]
    assert np.allclose(Reader(to_onnx(classifier)).predict_proba(images), classifier.predict_proba(images), atol=1e-4)


def test_the_same_forest_grows_on_one_core_and_on_many(few_digits, others):
    forest = find_recipe("forest").changed({"n_estimators": 12}).build(0).fit(*few_digits)
    alone = make_pipeline(GreyLevels(), ExtraTreesClassifier(12, max_features=0.1, random_state=0, n_jobs=1))
    alone.fit(flat(few_digits[0]), few_digits[1])
    assert (forest.predict_proba(others) == alone.predict_proba(flat(others)).astype(np.float32)).all()
