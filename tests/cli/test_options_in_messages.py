"""Sentences that name an argument of Python's name the option on the command line."""

import pytest

from scalinglab.cli._console import as_options

OPTIONS = {"loss": "--loss-value", "tokens": "--tokens", "cost": "--cost", "sizes": "--sizes", "R_D": "--r-d"}


@pytest.mark.parametrize(
    ("python", "shell"),
    [
        ("give either loss=, or tokens=", "give either --loss-value, or --tokens"),
        ('cost="exact" needs shapes', "--cost exact needs shapes"),
        ("say which, sizes=[N₁, N₂, …]", "say which, --sizes N₁,N₂,…"),
        ("leave R_D= out", "leave --r-d out"),
        ("with --eval-set (in Python eval_set=)", "with --eval-set"),
        ("write it as --where tokens_a=1", "write it as --where tokens_a=1"),
        ("give params= here, which is no option", "give params= here, which is no option"),
    ],
)
def test_arguments_become_options(python: str, shell: str) -> None:
    assert as_options(python, OPTIONS) == shell
