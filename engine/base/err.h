/* Errors are part of the public face: pare_fail, pare_wrap, pare_nomem. */
#ifndef PARE_BASE_ERR_H
#define PARE_BASE_ERR_H
#include "../pare.h"
#endif
