"""What every metric measures, in a sentence or two, by the identifier of its definition.

Reports print the definitions of the metrics that they show.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Definition:
    """One definition: title and sentences in plain text; ε_S and the like are indices."""

    title: str
    text: str


_POOLED = "Both samples have the same number of rows of each class."

DEFINITIONS: dict[str, Definition] = {
    "accuracy.argmax.v1": Definition(
        "accuracy", "Fraction of rows whose most probable class is the true one."
    ),
    "accuracy.constituents.v1": Definition(
        "accuracy of constituents",
        "Fraction of constituents whose most probable class is the true one. For the interval whole jets are "
        "resampled: constituents of a jet are not independent.",
    ),
    "balanced_accuracy.constituents.v1": Definition(
        "balanced accuracy of constituents",
        "Mean over the classes that occur of the fraction of their constituents that are called so, by the "
        "most probable class; jets are resampled.",
    ),
    "auc.one_vs_rest.constituents.v1": Definition(
        "AUC of constituents (one vs rest)",
        "Area under the ROC curve of the constituents of one class against all others, score: its "
        "probability; jets are resampled.",
    ),
    "adjusted_rand.v1": Definition(
        "adjusted Rand index",
        "Mean over jets with two tracks or more: pairs of tracks in one vertex that are found, less what "
        "random partitions of the same sizes share; 1 for the true vertices, 0 on average for random ones.",
    ),
    "adjusted_rand.several.v1": Definition(
        "adjusted Rand index",
        "The same mean over jets whose tracks come from two true vertices or more: elsewhere all tracks in "
        "one vertex is right without looking.",
    ),
    "pair_efficiency.v1": Definition(
        "efficiency of pairs", "Fraction of the pairs of tracks of one vertex that are put into one."
    ),
    "pair_purity.v1": Definition(
        "purity of pairs", "Fraction of the pairs of tracks that are put into one vertex that come from one."
    ),
    "assignment.matched_events.v1": Definition(
        "efficiency of events",
        "Fraction of the matched events whose objects are all assigned rightly; an event is matched when all "
        "resonances have all their daughters among its objects, each once. Interchangeable daughters, and "
        "resonances that nothing tells apart, may change places.",
    ),
    "assignment.events.v1": Definition(
        "correct events",
        "Fraction of all events that are matched and whose objects are all assigned rightly.",
    ),
    "assignment.resonances.v1": Definition(
        "efficiency of resonances",
        "Fraction of the resonances with all daughters among the objects that are given these objects and no "
        "others, whatever becomes of the rest of the event.",
    ),
    "efficiency.argmax.v1": Definition(
        "efficiency of a class",
        "Fraction of the rows of a class that are called so, by the most probable class.",
    ),
    "purity.argmax.v1": Definition(
        "purity of a class",
        "Fraction of the rows that are called a class, by the most probable one, that are of it.",
    ),
    "auc.binary.v1": Definition(
        "AUC", "Area under the ROC curve of the score p_S/(p_S + p_B); ties count one half."
    ),
    "auc.mean_over_masses.v1": Definition(
        "AUC, mean over masses",
        "Mean over the masses of the area under the ROC curve of the signal of that mass against all "
        "background, all rows scored under the hypothesis of that mass.",
    ),
    "auc.macro_ovo.v1": Definition(
        "AUC (macro, one vs one)",
        "Mean area over all ordered pairs of classes (a, b), score p_a, jets of a and b only: JetClass's "
        "convention, the same as scikit-learn's roc_auc_score with average 'macro' and multi_class 'ovo'.",
    ),
    "auc.one_vs_rest.v1": Definition(
        "AUC (one vs rest)",
        "Area under the ROC curve of one class against all other rows, score: its probability; ties count "
        "one half.",
    ),
    "expected_significance.v1": Definition(
        "expected significance",
        "Median significance of a discovery, from the expected events in bins of the score between fixed "
        "background efficiencies; the background of each bin has an independent relative uncertainty.",
    ),
    "largest_improvement.v1": Definition(
        "largest significance improvement",
        "Largest ε_S/√ε_B over the thresholds that enough background rows pass; 1 without a cut. A maximum "
        "over thresholds is pulled upward by fluctuations.",
    ),
    "significance_improvement.v1": Definition(
        "significance improvement",
        "Score p_S/(p_S + p_B), rows of the two classes only. The threshold is the lowest at which at most "
        "the fraction ε_B of the background passes, without interpolation; the improvement is ε_S/√ε_B. "
        "Random scores give √ε_B.",
    ),
    "signal_efficiency.v1": Definition(
        "signal efficiency",
        "Fraction of signal rows above the lowest threshold at which at most the fraction ε_B of the "
        "background passes, without interpolation. Random scores give ε_B.",
    ),
    "score_shift.w1.v1": Definition(
        "shift of the scores",
        "1-Wasserstein distance between the scores p_S/(p_S + p_B) of the rows of one class in one "
        "simulation and in the nominal one. It is never zero for finite samples: the simulation that differs "
        "by its seed alone shows what chance gives (2403.07066).",
    ),
    "score_shift.relative.v1": Definition(
        "relative shift",
        "Mean of the shifts over classes and simulations, over the 1-Wasserstein distance between signal and "
        "background in the nominal simulation. Random scores give about 1, equal scores have none.",
    ),
    "a_distance.logistic.v1": Definition(
        "proxy A-distance",
        "2(1 - 2e) with e the error of a logistic regression that tells two samples apart by standardised "
        "embeddings, on rows that it was not fitted to (five parts in turn), mean of both samples: 0 where "
        "it cannot, 2 where it always can. The interval is over judged rows; fits are fixed (2509.07486).",
    ),
    "cka.debiased.v1": Definition(
        "CKA",
        "Linear centred kernel alignment of the vectors that two networks make of the same rows "
        "(1905.00414): 1 where they are the same up to rotation and scale, 0 on average where they have "
        "nothing in common. "
        "The three HSIC are unbiased estimates, averaged over batches of rows before the ratio is taken "
        "(2010.15327); batches are resampled. Neither more nor less is better.",
    ),
    "mmd.rbf_median.v1": Definition(
        "squared MMD",
        "Unbiased estimate of the squared maximum mean discrepancy of two samples of standardised "
        "embeddings, with a Gaussian kernel as wide as the median distance between rows of both. It is 0 on "
        "average for samples of one distribution, and can be negative (2509.07486).",
    ),
    "rejection.threshold_first_above.v1": Definition(
        "background rejection",
        "Jets of the signal and the background class only, score p_S/(p_S + p_B). Threshold: the largest "
        "score "
        "at which at least the fraction ε_S of signal jets passes (score equal to the threshold passes), no "
        "interpolation. The rejection is one over the fraction of background jets that pass.",
    ),
    "response_iqr.v1": Definition(
        "relative width of the response",
        "Response: predicted over true. 75% less 25% quantile, over the median (2503.19165).",
    ),
    "response_bias.v1": Definition(
        "bias of the response", "Distance of the median of predicted over true from one."
    ),
    "residual_mae.v1": Definition("mean absolute error", "Mean of |predicted less true|."),
    "residual_rmse.v1": Definition("RMSE", "Root of the mean square of predicted less true."),
    "residual_bias.v1": Definition("bias", "Absolute value of the median of predicted less true."),
    "residual_width.v1": Definition(
        "resolution", "Half the width of the central 68.27% of predicted less true."
    ),
    "top_pairs.v1": Definition(
        "top pairs",
        "Errors of a quantity of both tops as sums of b quark, lepton and neutrino, true ones those of the "
        "hard process: reco over true of the mass of the pair, reco less true of all else, both tops or "
        "neutrinos of an event together. 68 % half-width: half of what lies between the 15.87 % and the "
        "84.13 % quantile. Widths of reco over true are divided by its median or mean, so that masses that "
        "are all too small are no better. Events are resampled.",
    ),
    "top_pairs.pairing.v1": Definition(
        "pairing efficiency",
        "Fraction of events in which the jets that are taken for the b quarks of top and antitop are those "
        "that the truth matches with them, and both leptons are those of the tops.",
    ),
    "top_pairs.pairing_matched.v1": Definition(
        "pairing efficiency of matched events",
        "The same fraction of the events in which the truth matches both b quarks and both leptons with "
        "reconstructed objects.",
    ),
    "top_pairs.solved.v1": Definition(
        "fraction of solved events", "Fraction of events that are answered: the kinematics have a solution."
    ),
    "segments.events.v1": Definition(
        "efficiency of events",
        "Fraction of the events with a true decay whose objects are all right: in the set that is matched "
        "with their true one and has its tag, or in none. Sets of the same tag are matched one with one by "
        "intersection over union.",
    ),
    "segments.all_events.v1": Definition(
        "correct events", "Fraction of all events whose objects are all right."
    ),
    "segments.objects.v1": Definition(
        "accuracy of objects",
        "Fraction of reconstructed objects that are right, the missing momentum aside; events are resampled.",
    ),
    "segments.iou.v1": Definition(
        "intersection over union",
        "Mean over true decays of the objects shared with the matched set, over those of either; 0 without.",
    ),
    "segments.dice.v1": Definition(
        "Dice coefficient", "The same mean of twice the shared objects over the sum of both numbers."
    ),
    "segments.adjusted_rand.v1": Definition(
        "adjusted Rand index",
        "Mean over events with two objects or more: pairs of objects in one set that are found, less what "
        "random partitions of the same sizes share; objects of no decay are one set, and tags do not count.",
    ),
    "segments.efficiency.v1": Definition(
        "efficiency of objects of a class", "Fraction of the objects of a class that are right."
    ),
    "segments.purity.v1": Definition(
        "purity of objects of a class", "Fraction of the objects that are put into a class that are right."
    ),
    "neutrinos.v1": Definition(
        "neutrinos",
        "Errors of neutrino and antineutrino of the hard process, both of an event together: reco less true "
        "of components, reco over true of masses. The W is the sum of the neutrino and the reconstructed "
        "lepton that the truth matches with its own; tops take the two jets with the greatest b tag, in the "
        "pairing with the smaller masses of lepton and jet. Of the model the estimate is the draw nearest to "
        "all others, 'one draw' the first. Events are resampled.",
    ),
    "neutrinos.sharpness.v1": Definition(
        "sharpness of neutrinos",
        "Median over neutrinos of half the width of the central 68 % of their draws: small is good only "
        "where the coverage is right.",
    ),
    "neutrinos.coverage.v1": Definition(
        "coverage of draws",
        "Fraction of neutrinos whose true component lies in the central interval of its draws; quantiles of "
        "S draws at p(S + 1), so that draws of the right distribution have the nominal coverage.",
    ),
    "neutrinos.miscoverage.v1": Definition(
        "miscoverage of draws",
        "Distance of this coverage from the nominal one; of finite samples it is never quite zero.",
    ),
    "w1.v1": Definition(
        "W1 of an observable",
        "1-Wasserstein distance: area between the cumulative distributions of generated and real rows, in "
        "the "
        f"unit of the observable. {_POOLED}",
    ),
    "kl.quantile_bins.v2": Definition(
        "KL of an observable",
        "Kullback-Leibler divergence, sum of p ln(p/q), of generated rows (q) from real ones (p) in bins "
        "between "
        "30 quantiles of the real ones from 0.1% to 99.9%, with an underflow and an overflow bin; 1e-8 is "
        "added "
        "to each fraction.",
    ),
    "w1m.jetnet.v1": Definition(
        "W1M",
        "1-Wasserstein distance of the mass of massless constituents in relative coordinates; mean over five "
        "batches of 50,000 jets drawn with replacement (2106.11535).",
    ),
    "w1p.jetnet.v1": Definition(
        "W1P",
        "The same for eta_rel, phi_rel and pt_rel of constituents, mean of the three (2106.11535).",
    ),
    "w1efp.jetnet.v1": Definition(
        "W1EFP",
        "The same for the five connected energy flow polynomials of four nodes and four edges, mean of the "
        "five "
        "(2106.11535).",
    ),
    "fpd.efp36.v1": Definition(
        "FPD",
        "Fréchet physics distance: that of Gaussian fits to the 36 energy flow polynomials of up to four "
        "edges, "
        "extrapolated to infinite samples by a fit a + b/N (2211.10295).",
    ),
    "fpd.showers.v1": Definition(
        "FPD of showers",
        "The same distance and extrapolation for high-level features of showers: incident energy, response, "
        "energies, centres, widths and sparsities of layers.",
    ),
    "kpd.efp36.v1": Definition(
        "KPD",
        "Kernel physics distance: unbiased squared MMD of the features of FPD with a polynomial kernel of "
        "degree "
        "four; median of ten batches of 5,000. It can be negative (2211.10295).",
    ),
    "kpd.showers.v1": Definition("KPD of showers", "The same for the high-level features of showers."),
    "coverage.emd_r1": Definition(
        "coverage",
        "Fraction of real jets that are the nearest one of some generated jet, by the energy mover's "
        "distance with R = 1; in batches of as many jets as the identifier says (2106.11535).",
    ),
    "mmd.emd_r1": Definition(
        "MMD",
        "Minimum matching distance: mean energy mover's distance of a real jet to the nearest generated "
        "one, in "
        "the same batches.",
    ),
    "classifier_auc.hgb.v1": Definition(
        "AUC of a classifier",
        "Area under the ROC curve of boosted trees that separate generated from real jets by observables, "
        "energy flow "
        "polynomials and the five hardest constituents, on held-out jets; 0.5 is ideal, below means chance.",
    ),
    "classifier_auc.hgb.showers.v1": Definition(
        "AUC of a classifier of showers", "The same by the high-level features of showers."
    ),
    "fpnd.jetnet30.v1": Definition(
        "FPND",
        "Fréchet distance of 256 activations of JetNet's ParticleNet to those of JetNet's real jets "
        "(2106.11535); of jets of another simulation it measures the simulation.",
    ),
    "separation.v2": Definition(
        "separation power",
        "1/2 the sum of (p - q)^2/(p + q) over the bins of a histogram, 0 for equal and 1 for disjoint "
        "ones; what "
        "lies outside has bins of its own. Of observables of layers: the mean over layers (2410.21611).",
    ),
    "w1_profile.v1": Definition(
        "W1 of a profile",
        "1-Wasserstein distance between the fractions of all energy, or of cells, by layer, ring or decade.",
    ),
}
"""Longer identifiers begin with these: the name of an observable, or the size of batches, is added."""


def definition_of(identifier: str) -> Definition | None:
    """Return the definition of an identifier; None for one of a plug-in.

    >>> definition_of("w1.v1.mass").title
    'W1 of an observable'
    """
    keys = [key for key in DEFINITIONS if identifier == key or identifier.startswith(f"{key}.")]
    return DEFINITIONS[max(keys, key=len)] if keys else None
