"""`python3 -m gitops_rollback`: the same as the command `gitops-rollback`."""

from gitops_rollback.cli import main

main()
