cimport cython
from differ.places cimport Place
from differ.sink cimport Sink, Change
from differ.walk cimport Walk
cpdef differing(Walk walk, bytes old, bytes new, Place place, owns)
cpdef bint is_text(bytes data) except *
cpdef _pair(Walk walk, bytes old, bytes new, Place place, Py_ssize_t depth, owns)
cpdef _leaf(Walk walk, bytes old, bytes new, Place place, Py_ssize_t depth, owns)
cpdef _whole(Walk walk, bytes old, bytes new, Place place, Py_ssize_t depth, owns)
@cython.locals(children=dict, gone=bint, met=Py_ssize_t)
cpdef _objects(Walk walk, dict old, dict new, Place place, Py_ssize_t depth, owns)
@cython.locals(olds=list, news=list, data=bytes, other=bytes, texts=tuple, inside=Place)
cpdef _arrays(Walk walk, list old, list new, Place place, Py_ssize_t depth, owns)
cpdef _apart(Walk walk, dict old, dict new, Place place, Py_ssize_t depth, owns)
cpdef tuple _trees(Walk walk, bytes old, bytes new, owns)
cpdef bytes _joined(list elements)
@cython.locals(items=list, others=list)
cpdef bint _by_key_in_place(Walk walk, bytes one, bytes two, Place inside, Py_ssize_t depth) except *
@cython.locals(places=list, one=bytes, two=bytes, both=bytes, place=Place)
cpdef bint _at_once(Walk walk, Py_ssize_t longer, tuple rows, Place inside, Py_ssize_t depth) except *
@cython.locals(children=dict, places=list, olds=list, news=list, old=dict, new=dict)
cpdef _unlike(tuple rows, Place inside)
@cython.locals(item=dict)
cpdef _keyed(list items, list others)
cpdef bint _unique_raws(list keys) except *
from differ.echoes cimport unechoed
from differ.aligning cimport exactly_equal
