#!/usr/bin/env python3
"""Published vectors, for the verifier in Python: RFC 8785, RFC 6962, RFC 8032."""
import struct
import sys

import ed25519
import verify_ledger as v

NUMBERS = {  # RFC 8785, appendix B
    "0000000000000000": "0", "8000000000000000": "0", "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324", "7fefffffffffffff": "1.7976931348623157e+308",
    "ffefffffffffffff": "-1.7976931348623157e+308", "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992", "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22", "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23", "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef4f": "999999999999999900000", "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7", "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332", "41b3de4355555554": "333333333.33333325",
    "41b3de4355555555": "333333333.3333333", "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343", "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2"}
KEYS = ('{"\\u20ac":"Euro Sign","\\r":"Carriage Return","\\ufb33":"Hebrew Letter Dalet With Dagesh",'
        '"1":"One","\\ud83d\\ude00":"Emoji: Grinning Face","\\u0080":"Control",'
        '"\\u00f6":"Latin Small Letter O With Diaeresis"}')
SORTED = ["Carriage Return", "One", "Control", "Latin Small Letter O With Diaeresis", "Euro Sign",
          "Emoji: Grinning Face", "Hebrew Letter Dalet With Dagesh"]
LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657",
          "606162636465666768696a6b6c6d6e6f"]
ROOTS = ["e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
         "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
         "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
         "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
         "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
         "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
         "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
         "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
         "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"]
failed = passed = 0


def check(name, got, expected):
    global failed, passed
    if got == expected:
        passed += 1
    else:
        failed += 1
        print("FAILED %s: %r, not %r" % (name, got, expected))


for bits, text in NUMBERS.items():
    check(bits, v.canonical(v.load(text.encode())), text)
    check(bits + " back", float(text), struct.unpack(">d", bytes.fromhex(bits))[0])
check("keys", list(v.load(v.canonical(v.load(KEYS.encode())).encode()).values()), SORTED)
hashes = [v.sha(b"\0", bytes.fromhex(leaf)) for leaf in LEAVES]
tree = v.Tree()
for n, expected in enumerate(ROOTS):
    check("root of %d leaves" % n, v.root(hashes[:n]).hex(), expected)
    check("the same by the edge", tree.root().hex(), expected)
    if n < len(hashes):
        tree.add(hashes[n])
key = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
signature = bytes.fromhex("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                          "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00")
check("Ed25519", ed25519.verify(key, b"\x72", signature), True)
check("Ed25519 of another message", ed25519.verify(key, b"\x73", signature), False)
print("%d passed, %d failed" % (passed, failed))
sys.exit(failed > 0)
