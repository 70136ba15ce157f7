from tests.support.reference import PAGE, reference


def test_the_reference_says_what_the_table_says():
    assert PAGE.read_text(encoding="utf-8") == reference()
