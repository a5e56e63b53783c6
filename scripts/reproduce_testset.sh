#!/usr/bin/env bash
# Gaussian steps 1-4 of every object of the published test set, then its table; finished steps are skipped.
#
#   scripts/reproduce_testset.sh --testset data/animate3d/testset [--objects NAMES] [--no-refine] [key=value …]
#   scripts/reproduce_testset.sh --help
#
# PYTHON=… chooses the interpreter.
set -euo pipefail
exec "${PYTHON:-python}" -m animate3d.runs.reproduce "$@"
