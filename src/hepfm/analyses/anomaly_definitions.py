"""What the numbers on the pages of searches for anomalies mean."""

from hepfm.analyses.anomaly_outcome import FALSE

_OF_DATA = (
    (
        "Cuts",
        (
            "The data are cut into folds; each is scored by what was learned from the others, and of "
            "each the same part with the highest scores is kept. The cut looks at no event of its own "
            "training."
        ),
    ),
    (
        "Signal region",
        (
            "A counting experiment: events in the signal region after the cut against those that a "
            "smooth spectrum, fitted to the sidebands after the cut, lets expect, with the error of "
            "that fit (pyhf, q0 and CLs, asymptotic formulae). An excess is tested, so that p is 0.5 "
            "for any deficit."
        ),
    ),
    (
        "Bump",
        (
            "BumpHunter's statistic (1101.0390, pyBumpHunter) over all windows against the same "
            "spectrum. The global p-value is from pseudo-experiments in which the sidebands are "
            "fitted again."
        ),
    ),
    (
        "Upper limit",
        (
            "On signal events in signal region and sidebands before the cut, 95 % CLs unless the "
            "recipe says otherwise, for the efficiency of the simulated test signal: for that signal "
            "alone."
        ),
    ),
    (
        "Sculpting",
        (
            "Spectra of true test background that passes and that fails a cut on the mean score, by "
            "χ² of homogeneity and by Kolmogorov and Smirnov's test. A score that is independent of "
            "the field gives even p-values."
        ),
    ),
)
INJECTED = (
    (
        "Significance improvement",
        (
            "ε_S/√ε_B on test events of the signal region whose truth is known and that nothing was "
            "learned from. The largest one is over thresholds that enough background events pass; it "
            "is chosen with the truth, as no search without labels could, and of many noisy scores "
            "slightly too large."
        ),
    ),
    (
        "Intervals",
        (
            "Median and 16 % to 84 % quantiles over draws of the data and trainings. They are the "
            "spread of single searches, not the error of the median."
        ),
    ),
    *_OF_DATA,
    (
        "Control without signal",
        (
            "The same searches on data without signal. The fraction of draws with a p-value below "
            f"{FALSE} is to be {FALSE}; its interval is Clopper and Pearson's of 95 % for independent "
            "draws."
        ),
    ),
)
"""Of data with injected signal."""
BLACK_BOX = (
    (
        "Trainings",
        (
            "The same data, learned again with another seed and other folds. Medians and 16 % to 84 % "
            "quantiles over trainings say how much a search depends on its chance; they hold nothing of the "
            "statistical uncertainty of the data, and trainings are no independent tests."
        ),
    ),
    *_OF_DATA,
    (
        "Agreement",
        (
            "Of two trainings: events of the signal region that both keep after a cut, over the mean of "
            "those that each keeps, beside what selections by chance have in common, and Spearman's rank "
            "correlation of their scores in the signal region; means over all pairs of trainings."
        ),
    ),
)
"""Of data of unknown truth."""
