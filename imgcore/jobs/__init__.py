# SPDX-License-Identifier: GPL-2.0-or-later
"""Jobs as a whole: made of requests, chosen, read, told of, checked, removed."""
