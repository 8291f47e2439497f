"""Objectives: how weights are trained. One file each, one row here."""

from hepfm.core.registry import Registry

OBJECTIVES = Registry(
    "objective",
    {
        "supervised": (
            "hepfm.objectives.supervised:Supervised",
            "classification or regression of labels, with label smoothing and row weights",
        ),
        "multi_label": (
            "hepfm.objectives.multi_label:MultiLabel",
            "many yes-or-no labels of a row: the mean of their binary cross-entropies (2412.10665)",
        ),
        "density_ratio": (
            "hepfm.objectives.density_ratio:DensityRatio",
            "ratio of the densities of two weighted samples: binary cross-entropy of rows that count in both",
        ),
        "parametrised": (
            "hepfm.objectives.parametrised:Parametrised",
            "classification as a function of a hypothesis, e.g. a mass, which background rows are given",
        ),
        "vertices": (
            "hepfm.objectives.vertices:Vertices",
            "which constituents share a vertex: focal cross-entropy of their pairs (2409.12589)",
        ),
        "assignment": (
            "hepfm.objectives.assignment:Assignment",
            "which objects are the daughters of which resonance: focal cross-entropy of joint choices",
        ),
        "flow_matching": (
            "hepfm.objectives.flow_matching:FlowMatching",
            "velocity from noise to constituents; trains a generator",
        ),
        "denoising": (
            "hepfm.objectives.denoising:Denoising",
            "some objects are noised; predict their noise from all (diffusion, EveNet)",
        ),
        "neutrinos": (
            "hepfm.objectives.neutrinos:Neutrinos",
            "neutrino and antineutrino of the hard process by diffusion, given what was reconstructed",
        ),
        "segmentation": (
            "hepfm.objectives.segmentation:Segmentation",
            "decays of an event as sets of objects: queries matched with roles (Hungarian method)",
        ),
        "masked": (
            "hepfm.objectives.masked:Masked",
            "hide constituents and predict them from the others: type, features, tokens, densities",
        ),
        "masked_momenta": (
            "hepfm.objectives.masked_momenta:MaskedMomenta",
            "hide where constituents are, not what they are, and predict it (Bumblebee)",
        ),
        "tokenize": (
            "hepfm.objectives.tokenize:TrainTokenizer",
            "train a tokenizer: encode constituents to codes and decode them",
        ),
        "next_token": (
            "hepfm.objectives.next_token:NextToken",
            "the next constituent's code from those before it; trains an autoregressive generator",
        ),
        "lejepa": (
            "hepfm.objectives.lejepa:LeJEPA",
            "two croppings of a row agree, and all rows look Gaussian",
        ),
        "contrastive": (
            "hepfm.objectives.contrastive:Contrastive",
            "NT-Xent between simulations of one event (RS3L), or two views of a row (JetCLR)",
        ),
        "supervised_contrastive": (
            "hepfm.objectives.supervised_contrastive:SupervisedContrastive",
            "rows of one class lie close together, others apart (SupCon)",
        ),
        "vicreg": (
            "hepfm.objectives.vicreg:VICReg",
            "two views or simulations agree; the numbers of their vectors vary, each for itself",
        ),
        "jepa": (
            "hepfm.objectives.jepa:JEPA",
            "predict a teacher's latents of hidden constituents, subjets or patches from the others",
        ),
        "self_distillation": (
            "hepfm.objectives.self_distillation:SelfDistillation",
            "views of a row get the prototypes that a teacher gives other views (DINO; RINO, jBOT)",
        ),
        "weighted_sum": (
            "hepfm.objectives.weighted_sum:WeightedSum",
            "sum of objectives, in one pass where they share a view",
        ),
    },
)
