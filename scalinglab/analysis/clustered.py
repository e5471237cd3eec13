"""A mean and a slope with intervals that respect clusters, also where these are few and of unequal size."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalinglab.analysis.estimate import Estimate

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Clustered:
    """Least-squares coefficients, standard errors and degrees of freedom, each (p,)."""

    value: Array
    stderr: Array
    freedom: Array

    def estimate(self, i: int, level: float) -> Estimate:
        """Coefficient i with its Student-t interval; NaN ends where the clusters cannot tell."""
        from scipy.stats import t

        if not (np.isfinite(self.stderr[i]) and self.freedom[i] > 0):
            return Estimate(float(self.value[i]))
        half = float(t.ppf(0.5 + level / 2, self.freedom[i]) * self.stderr[i])
        return Estimate(float(self.value[i]), float(self.value[i]) - half, float(self.value[i]) + half)


def clustered(X: Any, y: Any, cluster: Any) -> Clustered:
    """Least squares of y (n,) on X (n, p) with the CR2 covariance (Bell & McCaffrey 2002), clusters as integers (n,).

        V = M·(Σ_j X_jᵀA_j e_j e_jᵀA_j X_j)·M,  M = (XᵀX)⁻¹,  A_j = (I − X_j M X_jᵀ)^(−1/2),

    unbiased where rows are alike and independent, with Satterthwaite's degrees of freedom
    (Σλ)²/Σλ² of each coefficient's variance as a quadratic form, λ its eigenvalues. With equal clusters and a mean it
    is the t interval of the clusters' means, g − 1 degrees of freedom. NaN where there are fewer than two clusters,
    and throughout where X or y is not finite.
    """
    X, y = np.asarray(X, float).reshape(len(y), -1), np.asarray(y, float)
    n, p = X.shape
    labels = np.unique(cluster)
    if not (np.isfinite(X).all() and np.isfinite(y).all()):
        return Clustered(np.full(p, np.nan), np.full(p, np.nan), np.zeros(p))
    M = np.linalg.pinv(X.T @ X)
    value = M @ X.T @ y
    if len(labels) < 2:
        return Clustered(value, np.full(p, np.nan), np.zeros(p))
    left = np.eye(n) - X @ M @ X.T
    residual = y - X @ value
    scores = np.zeros((len(labels), p))
    forms = np.zeros((p, n, len(labels)))
    for j, label in enumerate(labels):
        own = np.flatnonzero(np.asarray(cluster) == label)
        adjusted = _inverse_root(left[np.ix_(own, own)]) @ X[own] @ M  # (n_j, p)
        scores[j] = adjusted.T @ residual[own]
        forms[:, :, j] = (left[:, own] @ adjusted).T
    variance = (scores**2).sum(axis=0)
    freedom = np.zeros(p)
    for i in range(p):
        inner = forms[i].T @ forms[i]
        freedom[i] = np.trace(inner) ** 2 / max(float((inner**2).sum()), 1e-300)
    return Clustered(value, np.sqrt(variance), freedom)


def _inverse_root(S: Array) -> Array:
    """S^(−1/2) of a symmetric matrix; directions that the fit uses up wholly are left out."""
    w, v = np.linalg.eigh(S)
    root = np.where(w > 1e-9, 1.0 / np.sqrt(np.maximum(w, 1e-9)), 0.0)
    return np.asarray((v * root) @ v.T)
