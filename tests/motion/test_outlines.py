from __future__ import annotations

import numpy as np

from animate3d.motion.outlines import bare_pairs, hidden_pairs, outside_pairs, sparse_pixels


def test_outline_pairs_join_what_only_one_silhouette_covers() -> None:
    drawn, target = np.zeros((2, 8, 8), dtype=bool)
    drawn[2:6, 1:4] = True
    target[2:6, 3:6] = True
    rows, columns, at = outside_pairs(drawn, target, stride=1)
    assert [1, 2, 3, 2] in np.column_stack([columns, rows, at]).tolist()
    bare = sparse_pixels(target & ~drawn, 1)
    rows, columns, at = bare_pairs(drawn, bare)
    assert [3, 5, 5, 5] in np.column_stack([columns, rows, at]).tolist()
    assert len(rows) == 8
    assert len(outside_pairs(drawn, np.zeros_like(target), stride=1)[0]) == 0
    assert len(bare_pairs(np.zeros_like(drawn), bare)[0]) == 0


def test_a_limb_that_comes_into_view_is_taken_before_the_one_in_front() -> None:
    at = np.array([[10.0, 10.0], [12.0, 10.0], [40.0, 10.0]])
    colors = np.zeros((3, 3))
    hidden = np.array([False, True, True])
    node, behind = hidden_pairs(at, colors, hidden, np.array([[9.0, 10.0]]), np.zeros((1, 3)), reach=4.0)
    assert node[0] == 1 and behind[0]
    _, behind = hidden_pairs(at, colors, hidden, np.array([[9.0, 10.0]]), np.ones((1, 3)) * [[1, 1, 1]], reach=4.0)
    assert behind[0]  # both are of the wrong colour
    colors[0] = 1.0
    _, behind = hidden_pairs(at, colors, hidden, np.array([[5.0, 10.0]]), np.ones((1, 3)), reach=4.0)
    assert not behind[0]  # the one in front has the colour that is seen, and is nearer


def test_what_is_nearest_to_the_border_of_the_known_makes_no_pair() -> None:
    drawn, target, border = np.zeros((3, 8, 8), dtype=bool)
    border[:, 0] = True
    drawn[3, 0:6] = True
    target[2:5, 0:2] = True
    rows, columns, _ = outside_pairs(drawn, target, 1, border)
    assert set(columns) == {2, 3, 4, 5} and set(rows) == {3}
    target[:, 1] = False
    assert len(outside_pairs(drawn, target, 1, border)[0]) == 0  # it may have left beyond the border
    bare = sparse_pixels(target & ~drawn, 1)
    assert len(bare_pairs(drawn, bare)[0]) == 2 and len(bare_pairs(drawn, bare, border)[0]) == 0
