"""Kinematics, jets and substructure as pure array functions."""
