"""Many runs of `animate`: the table of jobs, what becomes of each, and a page to look at them."""
