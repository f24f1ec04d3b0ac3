"""scripts/demo: the same pages direct and through pgrecall, with a checker beside them."""
