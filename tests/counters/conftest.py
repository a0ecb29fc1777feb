from blocks import case  # noqa: F401  a fixture
