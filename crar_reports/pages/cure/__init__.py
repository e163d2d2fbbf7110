"""The pages of `crar cure`: of one failed transfer, and of many."""
