from __future__ import annotations

import torch

from animate3d.rotations import euler_to_matrix, matrix_to_quaternion, quaternion_multiply, quaternion_to_matrix


def random_quaternions(count: int = 500) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(count, 4, dtype=torch.float64), dim=-1)


def test_matrix_and_quaternion_are_inverse() -> None:
    matrix = quaternion_to_matrix(random_quaternions())
    torch.testing.assert_close(quaternion_to_matrix(matrix_to_quaternion(matrix)), matrix)
    torch.testing.assert_close(matrix @ matrix.mT, torch.eye(3, dtype=torch.float64).expand_as(matrix))


def test_the_sign_is_that_of_the_four_branch_extraction() -> None:
    quats = matrix_to_quaternion(quaternion_to_matrix(random_quaternions()))
    small = quats[:, 0].abs() > 0.5  # a positive trace
    assert (quats[small, 0] > 0).all()
    turned = quats[~small, 1:]
    assert (turned.gather(1, turned.abs().argmax(dim=1, keepdim=True)) > 0).all()


def test_half_turns_are_extracted_without_loss() -> None:
    for axis in torch.eye(3, dtype=torch.float64):
        half = torch.cat([torch.zeros(1, dtype=torch.float64), axis])
        torch.testing.assert_close(matrix_to_quaternion(quaternion_to_matrix(half)), half)


def test_products_compose_rotations() -> None:
    a, b = random_quaternions(), random_quaternions()
    torch.testing.assert_close(
        quaternion_to_matrix(quaternion_multiply(a, b)), quaternion_to_matrix(a) @ quaternion_to_matrix(b)
    )


def test_gradients_are_exact() -> None:
    angles = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: matrix_to_quaternion(euler_to_matrix(x)), angles)
