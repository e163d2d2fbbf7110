"""The pages of `crar escape`: of one failed transfer, and of many."""
