"""ONNX graphs of classical estimators, built node by node where skl2onnx has no converter or a slow, large one."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from onnx import TensorProto, helper, numpy_helper
from sklearn.decomposition import PCA
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier

from mnistry.models.estimators import BlockSums, DistanceVotes, GreyLevels, PairwiseSVC, pair_signs, steps_of

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]

OPSETS = (("", 17), ("ai.onnx.ml", 5))
BRANCHES = {"true": "nodes_truenodeids", "false": "nodes_falsenodeids"}  # left is where the comparison holds


class Graph:
    """A graph under construction; `add` and `constant` return the name of the tensor that they add."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, operator: str, *inputs: str, output: str = "", outputs: int = 1, **attributes: Any) -> Any:
        """Append a node; returns its output's name, or a list of them if there are several."""
        names = [output or f"{operator.lower()}_{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, **attributes))
        return names if outputs > 1 else names[0]

    def constant(self, value: ArrayLike, kind: type = np.float32) -> str:
        """Add an array as a constant of the type `kind`; returns its name."""
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value, kind), name))
        return name

    def pixels(self, values: Floats) -> str:
        """Add pixels from 0 to 1 as a constant: as uint8 grey levels, a quarter of the size, if that is exact."""
        levels = np.rint(values * 255)
        if not np.array_equal(levels.astype(np.float32) * np.float32(1 / 255), values):
            return self.constant(values)
        return self.scaled(self.add("Cast", self.constant(levels, np.uint8), to=TensorProto.FLOAT))

    def scaled(self, levels: str) -> str:
        """Grey levels as pixels from 0 to 1, in the arithmetic of `classical.flat`."""
        return self.add("Mul", levels, self.constant(np.float32(1 / 255)))


def can_write(estimator: Any) -> bool:
    """Whether `write` knows this estimator."""
    return all(type(step) in {GreyLevels, *WRITERS} for step in steps_of(estimator))


def write(estimator: Any) -> Any:
    """The ONNX model of a fitted estimator on X (n, 784): images uint8 [n, 28, 28] -> probabilities float32 [n, 10]."""
    graph = Graph()
    levels = graph.add(
        "Cast", graph.add("Reshape", "images", graph.constant([-1, 784], np.int64)), to=TensorProto.FLOAT
    )
    steps = steps_of(estimator)
    whole = isinstance(steps[0], GreyLevels)
    X = levels if whole else graph.scaled(levels)
    for step in steps[whole:]:
        X = WRITERS[type(step)](graph, step, X)
    graph.add("Identity", X, output="probabilities")
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", 28, 28])
    proba = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 10])
    return helper.make_model(
        helper.make_graph(graph.nodes, "classifier", [images], [proba], graph.constants),
        opset_imports=[helper.make_opsetid(*opset) for opset in OPSETS],
    )


def _pca(graph: Graph, pca: PCA, X: str) -> str:
    shift = pca.mean_.astype(np.float64) @ pca.components_.T.astype(np.float64)
    return str(graph.add("Sub", graph.add("MatMul", X, graph.constant(pca.components_.T)), graph.constant(shift)))


def _block_sums(graph: Graph, sums: BlockSums, levels: str) -> str:
    matrix = graph.add("Cast", graph.constant(sums.matrix_, np.uint8), to=TensorProto.FLOAT)
    return str(graph.add("MatMul", levels, matrix))


def _squares(graph: Graph, X: str, points: str, lengths: Floats) -> str:
    """Squared distances of X (n, d) from points (d, m): |x|^2 - 2 x p + |p|^2, not below 0."""
    own = graph.add("ReduceSumSquare", X, axes=[1], keepdims=1)
    product = graph.add("Mul", graph.add("MatMul", X, points), graph.constant(-2))
    return str(graph.add("Relu", graph.add("Add", graph.add("Add", product, own), graph.constant(lengths))))


def _distance_votes(graph: Graph, votes: DistanceVotes, X: str) -> str:
    lengths = (votes.points_.astype(np.float64) ** 2).sum(axis=1)
    squares = _squares(graph, X, graph.constant(votes.points_.T), lengths)
    asked = votes.n_neighbors
    count = graph.constant([asked + 1], np.int64)
    nearest, index = graph.add("TopK", squares, count, outputs=2, largest=0, axis=1)

    def columns(tensor: str, start: int, end: int) -> Any:
        bounds = (graph.constant([bound], np.int64) for bound in (start, end, 1))
        return graph.add("Slice", tensor, *bounds)

    farthest = graph.add("Max", columns(nearest, asked, asked + 1), graph.constant(1e-12))
    weights = graph.add("Sub", graph.constant(1), graph.add("Div", columns(nearest, 0, asked), farthest))
    labels = graph.add("Gather", graph.constant(votes.labels_, np.uint8), columns(index, 0, asked))
    classes = graph.add("Gather", graph.constant(np.eye(10)), graph.add("Cast", labels, to=TensorProto.INT64))
    row = graph.add("Unsqueeze", weights, graph.constant([1], np.int64))  # (n, 1, k) @ (n, k, 10)
    summed = graph.add("Squeeze", graph.add("MatMul", row, classes), graph.constant([1], np.int64))
    smoothed = graph.add("Add", summed, graph.constant(votes.smoothing))
    return str(graph.add("Div", smoothed, graph.add("ReduceSum", smoothed, graph.constant([1], np.int64), keepdims=1)))


def _support_vectors(graph: Graph, machine: PairwiseSVC, X: str) -> str:
    vectors = machine.support_vectors_
    points = graph.add("Transpose", graph.pixels(vectors), perm=[1, 0])
    squares = _squares(graph, X, points, (vectors.astype(np.float64) ** 2).sum(axis=1))
    kernel = graph.add("Exp", graph.add("Mul", squares, graph.constant(-machine.gamma)))
    kernel, weights = (
        graph.add("Cast", factor, to=TensorProto.DOUBLE)  # thousands of terms: float32 would differ in the fourth place
        for factor in (kernel, graph.constant(machine.weights_))
    )
    sums = graph.add("Add", graph.add("MatMul", kernel, weights), graph.constant(machine.intercept_, np.float64))
    margins = graph.add("Cast", sums, to=TensorProto.FLOAT)
    signs = pair_signs()
    votes = [
        graph.add("MatMul", _log_expit(graph, margins, side * machine.slope_), graph.constant(signs == side))
        for side in (1, -1)
    ]
    return str(graph.add("Softmax", graph.add("Add", *votes), axis=1))


def _log_expit(graph: Graph, x: str, slope: float) -> str:
    """log(1 / (1 + exp(-slope x)))."""
    return str(graph.add("Neg", graph.add("Softplus", graph.add("Mul", x, graph.constant(-slope)))))


def _forest(graph: Graph, forest: ExtraTreesClassifier, levels: str) -> str:
    trees = Trees()
    for tree in (fitted.tree_ for fitted in forest.estimators_):
        values = tree.value[:, 0, :] / len(forest.estimators_)
        trees.append(tree.feature, tree.threshold, tree.children_left, tree.children_right, values)
    return trees.write(graph, levels)


def _boosting(graph: Graph, boosting: HistGradientBoostingClassifier, levels: str) -> str:
    """One tree a class and round; `_predictors` is private, but scikit-learn has no other door to them."""
    trees = Trees()
    for predictors in boosting._predictors:
        for k, nodes in enumerate(predictor.nodes for predictor in predictors):
            leaf = nodes["is_leaf"].astype(bool)
            left, right = (np.where(leaf, -1, nodes[side].astype(np.int64)) for side in ("left", "right"))
            values = np.outer(nodes["value"], np.arange(10) == k)
            trees.append(nodes["feature_idx"], nodes["num_threshold"], left, right, values)
    base = graph.constant(boosting._baseline_prediction.reshape(1, 10))
    return str(graph.add("Softmax", graph.add("Add", trees.write(graph, levels), base), axis=1))


class Trees:
    """Trees on whole numbers, whose leaves are summed: TreeEnsemble, a third of the size of the operators before it."""

    def __init__(self) -> None:
        self.roots: list[int] = []
        self.nodes: dict[str, list[NDArray[Any]]] = {key: [] for key in ("feature", "split", *BRANCHES.values())}
        self.leaves: dict[str, list[NDArray[Any]]] = {"targets": [], "weights": []}
        self.sizes = [0, 0]  # nodes and leaves so far

    def append(self, feature: Ints, threshold: Floats, left: Ints, right: Ints, values: Floats) -> None:
        """Add a tree of m nodes; `left` is -1 at a leaf, `values` (m, 10) is what its leaves add.

        ONNX's leaves add to one class each; where one adds to several, the tree is written once more for each.
        """
        leaf = left < 0
        values = np.where(leaf[:, None], values, 0)
        for _ in range(max(1, int((values != 0).sum(axis=1).max()))):
            classes = np.abs(values).argmax(axis=1)
            self._append(feature, threshold, (left, right), leaf, classes, values[np.arange(len(leaf)), classes])
            values[np.arange(len(leaf)), classes] = 0

    def _append(
        self, feature: Ints, threshold: Floats, children: tuple[Ints, Ints], leaf: NDArray[np.bool_], *votes: Any
    ) -> None:
        classes, weights = votes
        if leaf[0]:  # a tree of one leaf takes a node whose branches both lead to it
            feature, threshold, leaf = np.zeros(2, int), np.zeros(2), np.array([False, True])
            children, classes, weights = (np.ones(2, int),) * 2, classes[[0, 0]], weights[[0, 0]]
        place = np.where(leaf, np.cumsum(leaf) - 1 + self.sizes[1], np.cumsum(~leaf) - 1 + self.sizes[0])
        self.roots.append(self.sizes[0])
        self.nodes["feature"].append(feature[~leaf])
        self.nodes["split"].append(np.floor(threshold[~leaf]) + 0.5)  # the same for whole numbers, exact in float32
        for child, side in zip(children, BRANCHES, strict=True):
            self.nodes[BRANCHES[side]].append(place[child[~leaf]])
            self.nodes.setdefault(f"nodes_{side}leafs", []).append(leaf[child[~leaf]])
        self.leaves["targets"].append(classes[leaf])
        self.leaves["weights"].append(weights[leaf])
        self.sizes = [self.sizes[0] + int((~leaf).sum()), self.sizes[1] + int(leaf.sum())]

    def write(self, graph: Graph, levels: str) -> str:
        """Add them to the graph: whole numbers (n, d) -> sums (n, 10)."""
        nodes = {key: np.concatenate(parts) for key, parts in self.nodes.items()}
        leaves = {key: np.concatenate(parts) for key, parts in self.leaves.items()}
        return str(graph.add(
            "TreeEnsemble", levels, domain="ai.onnx.ml", n_targets=10, aggregate_function=1, post_transform=0,
            tree_roots=self.roots,
            nodes_featureids=nodes.pop("feature").tolist(),
            nodes_splits=numpy_helper.from_array(nodes.pop("split").astype(np.float32)),
            nodes_modes=numpy_helper.from_array(np.zeros(self.sizes[0], np.uint8)),  # x <= split
            leaf_targetids=leaves["targets"].tolist(),
            leaf_weights=numpy_helper.from_array(leaves["weights"].astype(np.float32)),
            **{key: indices.astype(int).tolist() for key, indices in nodes.items()},
        ))  # fmt: skip


WRITERS: dict[type, Callable[[Graph, Any, str], str]] = {
    PCA: _pca,
    BlockSums: _block_sums,
    DistanceVotes: _distance_votes,
    PairwiseSVC: _support_vectors,
    ExtraTreesClassifier: _forest,
    HistGradientBoostingClassifier: _boosting,
}
