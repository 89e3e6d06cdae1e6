"""The shared library that has all compiled modules, and loads them.

The import system finds a module of this library by `Library`, which is one of its finders and loaders (PEP 451). The module
is created in several phases (PEP 489), as the import system does with a module that has a file of its own.
"""

from importlib.util import spec_from_file_location

cdef extern from "Python.h":
    ctypedef struct PyModuleDef:
        pass
    object PyModule_FromDefAndSpec(PyModuleDef *definition, object spec)
    PyModuleDef *PyModule_GetDef(object module) except NULL
    int PyModule_ExecDef(object module, PyModuleDef *definition) except -1

cdef extern from "modules.h":       # setup.py writes it
    struct Module:
        const char *name
        void *(*init)() except NULL

    Module *MODULES


cdef const Module *find(str name) noexcept:
    cdef const Module *module = MODULES
    cdef bytes wanted = name.encode()
    while module.name is not NULL and module.name != wanted:
        module += 1
    return module if module.name is not NULL else NULL


class Library:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if find(name) is NULL:
            return None
        return spec_from_file_location(name, __file__, loader=Library)

    @staticmethod
    def create_module(spec):
        return PyModule_FromDefAndSpec(<PyModuleDef *> find(spec.name).init(), spec)

    @staticmethod
    def exec_module(module):
        PyModule_ExecDef(module, PyModule_GetDef(module))
