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
@cython.locals(unlike=list, olds=list, news=list, one=bytes, two=bytes, inside=Place)
cpdef _arrays(Walk walk, list old, list new, Place place, Py_ssize_t depth, owns)
cpdef _apart(Walk walk, dict old, dict new, Place place, Py_ssize_t depth, owns)
cpdef tuple _trees(Walk walk, bytes old, bytes new, owns)
cpdef bytes _joined(list elements)
@cython.locals(one=bytes, two=bytes, items=list, others=list)
cpdef bint _by_key_in_place(Walk walk, tuple texts, tuple raws, Place inside, Py_ssize_t depth) except *
@cython.locals(item=dict)
cpdef _keyed(list items, list others)
cpdef tuple _read_all(Walk walk, tuple texts)
from differ.echoes cimport unechoed
from differ.keying cimport unique
