"""The history checker: many clients write growing versions and read them back through pgrecall; what
was acknowledged or seen once may never be missing from a later answer."""
