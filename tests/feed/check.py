"""Runs every check of this directory and prints the results."""

from __future__ import annotations

import following
import formats
import recipes

import checks

checks.run("feed", [*recipes.CHECKS, *formats.CHECKS, *following.CHECKS])
