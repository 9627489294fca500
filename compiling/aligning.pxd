cpdef bytes canonical(value)
cpdef bint exactly_equal(old, new) except *
