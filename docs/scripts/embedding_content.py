"""What the frozen embeddings of pre-trained networks say of a jet: its class, and numbers of the whole jet.

python docs/scripts/embedding_content.py STORE MODEL [MODEL ...] > docs/data/jepa_embeddings.csv

On the store's validation rows: accuracy of a logistic regression and of the 20 nearest neighbours (five folds, mean and
standard error), and which fraction of the embedding's variance (its first 20 principal components) follows from one number
of the jet: means in 30 quantile bins of one half of the rows, measured on the other half.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hepfm.api import Model, Store
from hepfm.core.ragged import Array, lists
from hepfm.models.scores import embed

BINS, FOLDS = 30, 5


def explained(vectors_RD: Array, number_R: Array) -> float:
    """Return the fraction of the variance of vectors that follows from a number of each row."""
    train = np.arange(len(number_R)) % 2 == 0
    cell = np.searchsorted(np.quantile(number_R, np.linspace(0, 1, BINS + 1)[1:-1]), number_R)
    count = np.bincount(cell[train], minlength=BINS)[:, None]
    sums = np.stack([np.bincount(cell[train], column, BINS) for column in vectors_RD[train].T], axis=1)
    overall = vectors_RD[train].mean(0)
    mean = np.where(count > 0, sums / np.maximum(count, 1), overall)
    rest = np.square(vectors_RD[~train] - mean[cell[~train]]).sum()
    return float(1 - rest / np.square(vectors_RD[~train] - overall).sum())


def accuracy(classifier: object, vectors_RD: Array, label_R: Array) -> tuple[float, float]:
    """Return the accuracy of a classifier over folds, and its standard error."""
    scores = cross_val_score(make_pipeline(StandardScaler(), classifier), vectors_RD, label_R, cv=FOLDS)
    return float(scores.mean()), float(scores.std(ddof=1) / FOLDS**0.5)


def measure(model: Model, store: Store) -> dict[str, float]:
    """Return the numbers of a model."""
    rows = np.asarray(store.split("val"))
    vectors_RD = embed(model, store, rows=rows)
    jets = store.read(["jet_eta", "jet_pt", "jet_energy", "jet_label", "part_pt"], rows)
    pt, eta, energy = (np.asarray(jets[f"jet_{name}"], np.float64) for name in ("pt", "eta", "energy"))
    numbers = {
        "abs_eta": np.abs(eta),
        "log_pt": np.log(pt),
        "number": lists(jets, "part_pt").lengths.astype(np.float64),
        "mass": np.sqrt(np.maximum(energy**2 - (pt * np.cosh(eta)) ** 2, 0)),
    }
    components = PCA(20).fit_transform(vectors_RD)
    label = np.asarray(jets["jet_label"])
    probe, probe_error = accuracy(LogisticRegression(max_iter=300), vectors_RD, label)
    knn, knn_error = accuracy(KNeighborsClassifier(20), vectors_RD, label)
    spread = components.var(axis=0)
    return {
        "probe": probe,
        "probe_error": probe_error,
        "knn": knn,
        "knn_error": knn_error,
        **{f"from_{name}": explained(components, values) for name, values in numbers.items()},
        "first_component": float(spread[0] / spread.sum()),
    }


def main(store: Path, models: list[Path]) -> None:
    """Print a table."""
    opened, writer = Store.open(store), None
    for path in models:
        found = measure(Model.load(path), opened)
        line = {"model": path.name, **{name: round(value, 4) for name, value in found.items()}}
        if writer is None:
            writer = csv.DictWriter(sys.stdout, line)
            writer.writeheader()
        writer.writerow(line)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(path) for path in sys.argv[2:]])
