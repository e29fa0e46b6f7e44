"""Rows of logits: gradients are autograd's on the dense table, updates torch's."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from qae.tabular.table import Gradient, Table, gradient

SIZES = st.tuples(st.integers(1, 6), st.integers(2, 9), st.integers(1, 40), st.integers(0, 2**31))


@given(SIZES, st.floats(0.3, 3))
def test_the_gradient_is_autograds(sizes: tuple[int, int, int, int], temperature: float) -> None:
    rows, width, count, seed = sizes
    generator = torch.Generator().manual_seed(seed)
    logits_R_V = torch.randn(rows, width, generator=generator, dtype=torch.float32)
    row_N = torch.randint(rows, (count,), generator=generator)
    token_N = torch.randint(width, (count,), generator=generator)
    weight_N = torch.randn(count, generator=generator)
    leaf = logits_R_V.double().requires_grad_()
    (weight_N * torch.log_softmax(leaf / temperature, -1)[row_N, token_N]).sum().backward()
    found = gradient(torch.log_softmax(logits_R_V / temperature, -1), row_N, token_N, weight_N, temperature)
    assert leaf.grad is not None
    torch.testing.assert_close(found.double(), leaf.grad, rtol=1e-4, atol=1e-5)


@given(st.integers(0, 2**31))
def test_adam_on_every_row_is_torchs(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(5, 4, generator=generator, dtype=torch.float64)
    table, dense = Table(start.clone(), (0.9, 0.999)), start.clone().requires_grad_()
    optimizer = torch.optim.Adam([dense], lr=0.1, betas=(0.9, 0.999))
    for _ in range(6):
        along = torch.randn(5, 4, generator=generator, dtype=torch.float64)
        table.descend(Gradient(torch.arange(5), along), 0.1)
        dense.grad = along.clone()
        optimizer.step()
    torch.testing.assert_close(table.logits, dense.detach(), rtol=1e-9, atol=1e-9)


@pytest.mark.slow
@given(st.integers(0, 2**31))
def test_adam_on_met_rows_is_torchs_sparse_one(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(8, 3, generator=generator, dtype=torch.float64)
    table, sparse = Table(start.clone(), (0.9, 0.999)), start.clone().requires_grad_()
    optimizer = torch.optim.SparseAdam([sparse], lr=0.1, betas=(0.9, 0.999))
    for _ in range(6):
        rows = torch.randperm(8, generator=generator)[:3]
        along = torch.randn(3, 3, generator=generator, dtype=torch.float64)
        before = table.logits.clone()
        table.descend(Gradient(rows, along), 0.1)
        sparse.grad = torch.sparse_coo_tensor(rows[None], along, (8, 3), check_invariants=True)
        optimizer.step()
        unmet = torch.ones(8, dtype=torch.bool).index_fill_(0, rows, False)
        assert torch.equal(table.logits[unmet], before[unmet])
    # It adds its epsilon before the correction of the bias, which only gradients near 0 show.
    torch.testing.assert_close(table.logits, sparse.detach(), rtol=1e-4, atol=1e-3)


def test_a_table_continues_from_its_state() -> None:
    generator = torch.Generator().manual_seed(0)
    start, along = torch.randn(2, 6, 3, generator=generator)
    one, other = Table(start.clone(), (0.9, 0.999)), Table(torch.zeros(6, 3), (0.9, 0.999))
    rows = torch.tensor([4, 1])
    one.descend(Gradient(rows, along[:2]), 0.1)
    other.load(copy.deepcopy(one.state()))
    for table in (one, other):
        table.descend(Gradient(rows, along[2:4]), 0.1)
    assert torch.equal(one.logits, other.logits)
