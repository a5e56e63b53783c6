from __future__ import annotations

import pytest
import torch

from animate3d.small_model import half


@pytest.mark.parametrize(("instructions", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_half_precision_is_not_imitated_where_the_processor_lacks_it(
    monkeypatch: pytest.MonkeyPatch, instructions: bool, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(half, "has_half_products", lambda: instructions)
    with half.half_products(torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
