from animate3d.small_model.report import write_report


def clip(family, right, iou):
    return {
        "uid": f"h0_{family}",
        "family": family,
        "prompt": f"a {family} moves",
        "choices": 3,
        "right": right,
        "right_or_static": False,
        "iou": iou,
        "static_iou": 0.5,
        "energy": 1.2,
        "psnr": 20.0,
    }


def animation(cosine, motion="walk"):
    return {
        "uid": "h0_dog",
        "family": "dog",
        "motion": motion,
        "picture": f"pictures/{motion}.png",
        "cosine": cosine,
        "amplitude": 0.9,
        "error": 0.04,
    }


def test_families_and_all_cases_are_counted_and_what_failed_is_named(tmp_path):
    text = write_report(tmp_path, [clip("dog", True, 0.9), clip("fish", False, 0.5)], []).read_text()
    assert "| dog | 1 | 1/1 (100 %) (chance 33 %) | 0/1 (0 %) | 0.90 | 0.50 | 1.20 | 20.0 dB |" in text
    assert "| **all** | 2 | 1/2 (50 %) (chance 33 %) | 0/2 (0 %) | 0.70 |" in text
    assert "Not recognised: h0_fish “a fish moves”." in text
    assert "Animations" not in text


def test_animations_have_a_histogram_and_the_worst_first(tmp_path):
    rows = [animation(0.95), animation(0.2, "shake"), animation(0.65), animation(float("nan"), "still")]
    text = write_report(tmp_path, [clip("dog", True, 0.9)], rows).read_text()
    assert "(3 cases; in 1 more nothing moves)" in text
    assert "| 0.9 to 1 | 1 |" in text and "| 0.6 to 0.7 | 1 |" in text and "| 0 to 0.3 | 1 |" in text
    assert text.index("shake") < text.index("walk")
