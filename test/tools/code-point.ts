/** Any character of Unicode, for strings of property tests. */

import fc from 'fast-check'

/** As fast-check's unit `binary` gives them, which lists all 1.1 million when it is first used: most of a second. */
export const codePoint = fc
  .oneof(
    fc.integer({ min: 0, max: 0x7f }),
    fc.integer({ min: 0x80, max: 0xd7ff }),
    fc.integer({ min: 0xe000, max: 0x10ffff }),
  )
  .map((number) => String.fromCodePoint(number))
