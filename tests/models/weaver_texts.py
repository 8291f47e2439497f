"""Preprocessing and network files as weaver-core takes them: those of JetClass and Sophon, shortened.

Shared by the tests and by make_weaver_files_fixture.py, which runs where this package is not installed.
"""

from __future__ import annotations

POINTS = "  pf_points: {length: 8, pad_mode: wrap, vars: [[part_deta, null], [part_dphi, null]]}"
MASK = "  pf_mask: {length: 8, pad_mode: constant, vars: [[part_mask, null]]}"
FLAGS = ("ChargedHadron", "NeutralHadron", "Photon", "Electron", "Muon")
IDENTITY = ["[part_charge, null]", *(f"[part_is{name}, null]" for name in FLAGS)]
TRACKS = ["[part_d0, null]", "[part_d0err, 0, 1, 0, 1]", "[part_dz, null]", "[part_dzerr, 0, 1, 0, 1]"]
AXES = ["[part_deta, null]", "[part_dphi, null]"]
COMMON = """
  part_mask: ak.ones_like(part_energy)
  part_pt: np.hypot(part_px, part_py)
  part_logptrel: np.log(part_pt/jet_pt)
  part_logerel: np.log(part_energy/jet_energy)
  part_deltaR: np.hypot(part_deta, part_dphi)
  part_d0: np.tanh(part_d0val)
  part_dz: np.tanh(part_dzval)"""


def vectors(*names: str) -> str:
    """Return the lines of the four-momenta."""
    return f"  pf_vectors: {{length: 8, pad_mode: wrap, vars: [{', '.join(f'[{n}, null]' for n in names)}]}}"


def features(*variables: str) -> str:
    """Return the lines of the features."""
    lines = "\n".join(f"    - {text}" for text in variables)
    return f"  pf_features:\n    length: 8\n    pad_mode: wrap\n    vars:\n{lines}"


KINEMATICS = (
    "[part_pt_log, 1.7, 0.7]",
    "[part_e_log, 2.0, 0.7]",
    "[part_logptrel, -4.7, 0.7]",
    "[part_logerel, -4.7, 0.7]",
    "[part_deltaR, 0.2, 4.0]",
)
JETCLASS = f"""
selection:
new_variables:{COMMON}
  part_pt_log: np.log(part_pt)
  part_e_log: np.log(part_energy)
preprocess: {{method: manual, data_fraction: 0.5}}
inputs:
{POINTS}
{features(*KINEMATICS, *IDENTITY, *TRACKS, *AXES)}
{vectors("part_px", "part_py", "part_pz", "part_energy")}
{MASK}
labels: {{type: simple, value: [label_QCD, label_Hbb, label_Tbqq]}}
"""
SOPHON = f"""
selection:
  (jet_pt > 200) & (jet_pt < 2500)
new_variables:{COMMON}
  part_px_scale: part_px / jet_pt * 500
  part_py_scale: part_py / jet_pt * 500
  part_pz_scale: part_pz / jet_pt * 500
  part_energy_scale: part_energy / jet_pt * 500
  part_pt_scale: np.hypot(part_px_scale, part_py_scale)
  part_pt_scale_log: np.log(part_pt_scale)
  part_e_scale_log: np.log(part_energy_scale)
preprocess: {{method: manual, data_fraction: 0.5}}
inputs:
{POINTS}
{
    features(
        "[part_pt_scale_log, 1.7, 0.7]",
        "[part_e_scale_log, 2.0, 0.7]",
        *KINEMATICS[2:],
        *IDENTITY,
        *TRACKS,
        *AXES,
    )
}
{vectors("part_px_scale", "part_py_scale", "part_pz_scale", "part_energy_scale")}
{MASK}
labels: {{type: custom, value: {{truth_label: jet_label}}}}
"""
AUTO = f"""
new_variables:
  part_mask: ak.ones_like(part_energy)
  part_pt: np.hypot(part_px, part_py)
  part_logptrel: np.log(part_pt/jet_pt)
  part_theta: np.abs(part_deta) + _clip(part_dphi, -1, 1)**2
  part_sig: ak.where(part_d0err > 0, part_d0val/part_d0err, 0)
preprocess: {{method: auto, data_fraction: 0.5}}
inputs:
{POINTS}
{features("part_logptrel", "part_theta", "[part_sig, auto, 1, -3, 2]", "[part_pt, 10, 0.1, -2, 2]", *AXES)}
{MASK}
labels: {{type: custom, value: {{target_mass: jet_sdmass}}}}
"""

PART_OPTIONS = {
    "use_pre_activation_pair": True,
    "embed_dims": [8, 12, 8],
    "pair_embed_dims": [4],
    "num_heads": 2,
    "num_layers": 1,
    "num_cls_layers": 1,
    "block_params": None,
    "fc_params": [],
    "activation": "gelu",
    "trim": True,
}
PART_NETWORK = f"""
import does_not_exist

def get_model(data_config, **kwargs):
    cfg = dict(
        input_dim=len(data_config.input_dicts['pf_features']),
        num_classes=None,
        {", ".join(f"{name}={value!r}" for name, value in PART_OPTIONS.items())},
    )
    cfg.update(**kwargs)
    return Wrapper(**cfg), {{}}
"""
PARTICLENET_OPTIONS = {
    "conv_params": [(3, (6, 6)), (4, (20,))],
    "fc_params": [(5, 0.1)],
    "use_fusion": False,
    "use_counts": True,
}
PARTICLENET_NETWORK = f"""
raise SystemExit("this file must never be run")

def get_model(data_config, **kwargs):
    conv_params = {PARTICLENET_OPTIONS["conv_params"]!r}
    fc_params = {PARTICLENET_OPTIONS["fc_params"]!r}
    num_classes = len(data_config.label_value)
    model = Wrapper(
        input_dims=len(data_config.input_dicts['pf_features']),
        num_classes=num_classes,
        conv_params=kwargs.get('conv_params', conv_params),
        fc_params=kwargs.get('fc_params', fc_params),
        use_fusion=kwargs.get('use_fusion', False),
        use_counts=kwargs.get('use_counts', True),
    )
    return model, {{}}
"""
