/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys for tests, in the text of a credentials file (a JSON string, line breaks as \n). GCP_KEY is
 * the one of RFC 7515 appendix A.2, which the whole world knows; the others are what must be
 * refused.
 */
#ifndef SFS_TESTS_GCP_KEYS_H
#define SFS_TESTS_GCP_KEYS_H

/* clang-format off */
#define GCP_KEY \
	"-----BEGIN PRIVATE KEY-----\\n" \
	"MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQCh+BYK4uPJtGXO\\n" \
	"jS1lYmM2K5J9vinh8CR3/BYlzJChNuOL2TSXxbbqY913EeZ8dCn5VrD7io8ImtxL\\n" \
	"aYk8wTM/U+3QGbh3hCUv7JFP5IV3aVlL6kKA0ywPVb9ilE8TA5a8bpvfbr3SvaNn\\n" \
	"juygxmj3AbONv/s4yDQs4v5tJ/reSlpIdJed1LnPmt7Ex1sFhSwsD174pcF1A5L5\\n" \
	"ROjtZMEQxrZHYJqkeDrrnGya11UxMFBji4NmXG9veoKjlnAqH2QbgtPr8jkiGUkf\\n" \
	"toaHLFcW9Qr4NY2ai50Xw0Byj3+H2JoY2PyrZ62EWQwuz3WTOTY8BwNNb2BvniHg\\n" \
	"VFbK5emhAgMBAAECggEAEq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyW\\n" \
	"PEAeP88vLNO97IjlA7/GQ5sLKMgvfTeXZx9SE+7YwVol2NXOoAJe46sui395IW/G\\n" \
	"O+pWJ1O0BkTGoVEn2bKVRUCgu+GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzj\\n" \
	"kn439X0M/V51gfpRLI9JYanrC4D4qAdGcopV/0ZHHzQlBjudU2QvXt4ehNYTCBr6\\n" \
	"XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl/x/jTj3ccPDVZFD9pIuhLhBOneufuBiB\\n" \
	"4cS98l2SR/RQyGWSeWjnczT0QU91p1DhOVRuOopznQKBgQDgHMQQ60imZV1URk0K\\n" \
	"pLttoLhyt3SmqdEf/kgHePDdtzEafpAu+cS191R2JiuoF2yzWXnwFDcqGigp5BNr\\n" \
	"0AHQfD8/Lk8l1Mk09jxxCfui5nYooNyac8YFjm3vItzVCVDnEd3BbVWG8qf6deqE\\n" \
	"lMGAg+C2V0L4oNXnP7LZcPAZRwKBgQC5A8R+CZW2MvRTLLHzwZkUXV866cff7tx6\\n" \
	"kqa0finGG0KgeqlaZPxgCZnFp7AeAcCMtiynVlJ7vMVgePsLq6XtON4tB5kP9jAP\\n" \
	"rq3rbAOal78eUH5OcED6eNuCV8ixEu1eWcPNCS/l1OW1EnXUEoEHKl54Xrrz2uNw\\n" \
	"kgMTP1FZ1wKBgAcCn1dwJKufzBWQxWQp1vsM5fggqPN1qGb5y0MAk3g7/Ls5bkUp\\n" \
	"5u9SN0Ai3Ya6hNnvWJMb7sXQX6U/zyO2M/hTip7tUeh7CXgwo59dkpN75gJLVds2\\n" \
	"9+DAncu3KXU4f2Fa+7bLNrur53k8KwPOq2bbuTG69QtV7Jr5MR0AHWKNAoGBAIf/\\n" \
	"evpitUf+4JYbLpvNXWcY052Mpz22aR84mY3nh3F2LF2mjMJDpTg7FmuyPcVw6EcG\\n" \
	"yoAe9fa65iNqCq+jdw6PVNGo2hxfjSiZ8IIzHdsPXI89//pMjZcQK9r+CCoRjaZj\\n" \
	"OYiIDktVWZzmevJuv6WywUqd57LE3Zar3dLSIkx1AoGAIYd7DHOhrWvxkwPQsRM2\\n" \
	"tOgrjbcrfvtQJipd+DlcxyVuuM9sQLdgjVk2oy26F0EmpScGLq2MowX7fhd/QJQ3\\n" \
	"ydy5cY7YIBi87w93IKLEdfnbJtoOPLUW0ITrJReOgo1cq9SbsxYawBgfp/gh6A56\\n" \
	"03k2+ZQwVK0JKSHuLFkuQ3U=\\n" \
	"-----END PRIVATE KEY-----\\n"
#define GCP_KEY_PKCS1 \
	"-----BEGIN RSA PRIVATE KEY-----\\n" \
	"MIIEowIBAAKCAQEAofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd/wWJcyQoTbji9k0\\n" \
	"l8W26mPddxHmfHQp+Vaw+4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL+yRT+SFd2lZS+pC\\n" \
	"gNMsD1W/YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb/7OMg0LOL+bSf63kpaSHSX\\n" \
	"ndS5z5rexMdbBYUsLA9e+KXBdQOS+UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uD\\n" \
	"Zlxvb3qCo5ZwKh9kG4LT6/I5IhlJH7aGhyxXFvUK+DWNmoudF8NAco9/h9iaGNj8\\n" \
	"q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQIDAQABAoIBABKucaRpzQorw35S\\n" \
	"bEUAVx8dYXUdZOlJcHtiWQ+dC6V8ljxAHj/PLyzTveyI5QO/xkObCyjIL303l2cf\\n" \
	"UhPu2MFaJdjVzqACXuOrLot/eSFvxjvqVidTtAZExqFRJ9mylUVAoLvhowVWmC1O\\n" \
	"n95fZCXxTUtxNEG1Xcc7m0rtzJKs45J+N/V9DP1edYH6USyPSWGp6wuA+KgHRnKK\\n" \
	"Vf9GRx80JQY7nVNkL17eHoTWEwga+lwi0FEoW9Y7lDtWXYmKBWhUE+U8PGxlJf8f\\n" \
	"40493HDw1WRQ/aSLoS4QTp3rn7gYgeHEvfJdkkf0UMhlknlo53M09EFPdadQ4TlU\\n" \
	"bjqKc50CgYEA4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH/5IB3jw3bcxGn6QLvnE\\n" \
	"tfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw/Py5PJdTJNPY8cQn7ouZ2KKDcmnPG\\n" \
	"BY5t7yLc1QlQ5xHdwW1VhvKn+nXqhJTBgIPgtldC+KDV5z+y2XDwGUcCgYEAuQPE\\n" \
	"fgmVtjL0Uyyx88GZFF1fOunH3+7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYs\\n" \
	"p1ZSe7zFYHj7C6ul7TjeLQeZD/YwD66t62wDmpe/HlB+TnBA+njbglfIsRLtXlnD\\n" \
	"zQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdcCgYAHAp9XcCSrn8wVkMVkKdb7\\n" \
	"DOX4IKjzdahm+ctDAJN4O/y7OW5FKebvUjdAIt2GuoTZ71iTG+7F0F+lP88jtjP4\\n" \
	"U4qe7VHoewl4MKOfXZKTe+YCS1XbNvfgwJ3Ltyl1OH9hWvu2yza7q+d5PCsDzqtm\\n" \
	"27kxuvULVeya+TEdAB1ijQKBgQCH/3r6YrVH/uCWGy6bzV1nGNOdjKc9tmkfOJmN\\n" \
	"54dxdixdpozCQ6U4OxZrsj3FcOhHBsqAHvX2uuYjagqvo3cOj1TRqNocX40omfCC\\n" \
	"Mx3bD1yPPf/6TI2XECva/ggqEY2mYzmIiA5LVVmc5nrybr+lssFKneeyxN2Wq93S\\n" \
	"0iJMdQKBgCGHewxzoa1r8ZMD0LETNrToK423K377UCYqXfg5XMclbrjPbEC3YI1Z\\n" \
	"NqMtuhdBJqUnBi6tjKMF+34Xf0CUN8ncuXGO2CAYvO8PdyCixHX52ybaDjy1FtCE\\n" \
	"6yUXjoKNXKvUm7MWGsAYH6f4IegOetN5NvmUMFStCSkh7ixZLkN1\\n" \
	"-----END RSA PRIVATE KEY-----\\n"
#define GCP_KEY_ENCRYPTED \
	"-----BEGIN ENCRYPTED PRIVATE KEY-----\\n" \
	"MIIFLTBXBgkqhkiG9w0BBQ0wSjApBgkqhkiG9w0BBQwwHAQIboyLrNltCIkCAggA\\n" \
	"MAwGCCqGSIb3DQIJBQAwHQYJYIZIAWUDBAECBBAowAIH5FXauUDkQseVfXy1BIIE\\n" \
	"0OdriDLqv0/xa5jGcZblw7PdU2Qagg+VJYP5cAi4B1GnXFRkTYm/v7RB5ILeST2n\\n" \
	"QXJDClDuUk3ADCAAgFCei5ScZ0w9SSckGKwJ27UT0fe0/P5yJoLQ3HKsK4MWzDox\\n" \
	"NPkQnaL9h/VYR16a94y6qcntsgWSTBfxyyNQORfTZOYIvgrC1/KCyKm1svrRKkev\\n" \
	"K9kMoqhaHNSYbyUwmlYAnODIBII3SU8Lwi36l2lpMhbRxYwm10r6PQM2olj5v3Cl\\n" \
	"e9ihj8ijyKOHjAdIAcaEmYQ0QBGFgE1vcnnfELxeNdy3yvkw6bI6ffix2Zg/JTEW\\n" \
	"5Kw79/Gpt5ZjraSPOZKfXeo3tZFTxLTI51kXBGozhjknBBFEPwOwxE8WmRLF1VW/\\n" \
	"Y0ktf0NaA51E2/3ptjgHcg2AcpKOIOs/n6wVcwCAjwccgYUzsb3a8NQwHHsC4T7w\\n" \
	"LazC5FkwAwmBDQhlvnf+COZsRRIud9WNvsuSn3nw6nOqd2Me8+Jsf5zt1JVsyOIT\\n" \
	"U6cB483rX0HNTGarwLNcXwTvHbERbOv4oyqE3olLBjxjcntStdRyU+YvJ/kYkfjk\\n" \
	"bEPtofPPgY7Pi0+SAcOTQwLyAU6+xtqd66kJlXDU8XUpQ7sUXaIJlVDlkpHxFDTK\\n" \
	"V2DfwQphnGxUAmB8U7MSYxHxrKArpUWJn7RESTaNQhzrJXhSiDo8qujx9G6P7MB6\\n" \
	"zycKim33J9cpky7dvC3ZET3Xo1uDwTE89FobqLzB0cKt+b2RxsqCuo1GrygayhgN\\n" \
	"ABEJGctAVZTv/XKUL4m0OOxd1AN4H99SQs9sckRvP8N1l7NnoLgAHBKZdeycFiH2\\n" \
	"JCXV59bsbQI6IyYUcrPj4U+5+jxDHFxIhJw9pPJXHLQum87Q1vV5BVYL/Zo71KqY\\n" \
	"7w+U41G4gzLDFqCBL7wzjFYXgJCw3MTtjEN3fn6HGNaumvq6pv63EQcQud8brI/P\\n" \
	"7SPc6+DgY1qmvC8zjKWqVZrwqbmRdx1jcmlgxJ++VzzoQgO1bdN40TlRECG6XiFb\\n" \
	"ut3Pkj09GESwCVioXBI9z5rdnE42JXXY1UdghNJnfslVoff09+0pZQYMaUCpTaa4\\n" \
	"1H2qIYZFjE2Vk3zbjlQg3bglo/FIF7JoR3RxLYgl4k4HfR5T4HMyScrFK9w8ZxkO\\n" \
	"XQOO7e6WUbVQr+6ijzKI8xvEM+N+d2cUF97mkE6y6Suy0V8FO7+A1b43XZ6bo6F1\\n" \
	"P3ofT1dSF7Mhqk9mI1+8rX0mTvlc9yvlpXp7GPk8qVYdkiA/kLS40Mk/ylUmWSZx\\n" \
	"QzF5LWFVtmJCUk4yI9qa36fwvXVCd6MxXIi7peK3CwQFbrXGbfV3KPb5bWtBHAAV\\n" \
	"up4jtIv06tEdRRivkBvp5ETNuzJ59+t4QjKSfr/tg2Jb+l/tsvav4SSDghTiCOoZ\\n" \
	"FtwPq6dnr8G/Bq6UTWQnlhPwR6KFrhVoY1DWPNjG5rA+8m5UPA21ERzxJNKmFPX4\\n" \
	"clglF48DLl1F2v6cPY+P4suAc0nIia2P6MLw+BVUUu+C9vywJ3KWkha4J1sjNVhv\\n" \
	"fkhMsFTyX6qs03ynUYcO7SZ8h67fbn+WWGwfcTf+V44+iRYFxzlGhWXPNJjWb6zQ\\n" \
	"lMB+B8+nAH0CPPEZD2CxHEc/8Tdh/j441Bqqdl0glUJJ\\n" \
	"-----END ENCRYPTED PRIVATE KEY-----\\n"
#define GCP_KEY_ENCRYPTED_OLD \
	"-----BEGIN RSA PRIVATE KEY-----\\n" \
	"Proc-Type: 4,ENCRYPTED\\n" \
	"DEK-Info: AES-128-CBC,DB4FDDB413FB0271DEB074EE1599EC86\\n" \
	"\\n" \
	"pbQNBG5cRdgPrUnTAtWLr2Ii3GaTTiU22MjitWaRk1Zcj2FAALjgn6e8JR+oXgqf\\n" \
	"nM6PRooBU6lCjTMdRkf8MLzoKGnJcH+uYp3vveLqS+tyy/T1QuVHCTHcu0M36MUV\\n" \
	"2uHmY6sDnUiSTRn3k2s6sdaBS4K7lhMnYzEGE4dCyS6uE5IbcZVLXsno/hyFkhJR\\n" \
	"85J1fQtpuNnZn4g9+J3PuocPLvFjoqp7fr2XorK+HCClS4VMorJdDGaupVOrfHFw\\n" \
	"GOWqibL1Td5CTOnuZqYui6QDkddBgMdaQ1ooOtDu4YtN73vdIUQTwXJta5YJQc9x\\n" \
	"XHs8jUltNL/ql3wtbDnwGYw8LEiCGU7ztVqc3P+T825M+kz4hJZbhqO1QEUBB131\\n" \
	"ywkyIGvEh9NGqfNan5qXSOqWFEfhy/1z6mmreHnFnYaVLgaRQlcy1d+mlBJaXYRP\\n" \
	"x2I05Lmmqi1HRt3YmTZJ+NNBdnQliJ37g4tsemLtbajanHDiUMvlA4PBZWlac3jv\\n" \
	"bBUMj1NITinfPbYPZcGz1KgWVypwxc+BuK0qw3tle1CsQZzoGEUGHuTKD9obfkrK\\n" \
	"hug0KblfZRqaO1fHw3VdEjkhQF2zuyFteddfdA0FTrklVUlV30TIfoX+Vd/iZPLy\\n" \
	"f0h/k9Iphc6Ve6oYAAUzoDh8cMXIv8hnNfaJN57A+2scPvCmdZS0MywcpdX4jE1S\\n" \
	"7HPRf9F73kIjpYMS6NQ/PzkkIRdTe3baj57KtEMYTupHM095nzIbfgEFLd/BfnTK\\n" \
	"OFc02z0osj9fUD10wjGPkoLIzX4oz0vh2iz6TB6hA8s6Rzhv7FQpXSSk6qxNtP/I\\n" \
	"E6/VMIvVTeWXGh0G5Fi+PRhghA5/8gjLI5Ltf6RkdlYXDHegPu9pNe9JiJ/FILpF\\n" \
	"Wq6yIcN/0tldzi30YQ/zpiQhGxhsjUgBemjUXrO9HUqhQbXHxDAaTlCRRv9nAir7\\n" \
	"+mzsl7S+Xe7fLnoVVutHO0fXmu9CXpbY7h5WsR/wjpMw386n4ypknJ60bxc+Lfg9\\n" \
	"KKMqmXVyqCwW1gaVCy8r0veLeanAheTg6sLLKPD/8CHyjT/xKMu5WBgfgNiywGia\\n" \
	"qzKM3sGlaIYTeCSZNUr0Vpg+/0yUlINEnjSTq+AVR4j1bcR168YrXQjio2dyKMqL\\n" \
	"sROCuRw1rczoK0Q6dZG1fRRV/UevZ5PoFiiNsDNJR9jEQbdwhFxIdDCB5KijxC55\\n" \
	"vN8GyMzIJL4DNZVuIky9keoaOWJeHKZGtYwcDl82XnSz/4BLb++eezgJRWGNHlaY\\n" \
	"uOx390v5wqGD2vU+5RnPCY6G7k58Qpja9G2t1s9NLlU6Ls1VPOsJ6W/1QttCHmzt\\n" \
	"Ejta9x8FBFQHzTe39ub5NMQhOJDLtWos7+LVhHHfcCzHlfSbecKqwbmuwns99VE6\\n" \
	"bMhgX1IhoV57z7EnMImDpyfF+rkatXX9nxX7U1uBQzeDq1h5+yEVFc1bm3j/1iEG\\n" \
	"/XOp7qkqGPvReiJJyLiTDAa6RHAj5WCmf9qOmDvTk9/6wFu/pq/XOPox6+WTAnN0\\n" \
	"2lk3vk+V6pUihN3ownuFyCEsVQW73ExFL016i3rVZ26i716zUl4OzA3fpnDPc9Mn\\n" \
	"-----END RSA PRIVATE KEY-----\\n"
#define GCP_KEY_SHORT \
	"-----BEGIN PRIVATE KEY-----\\n" \
	"MIICdQIBADANBgkqhkiG9w0BAQEFAASCAl8wggJbAgEAAoGBAJGatnffAbeBzdQN\\n" \
	"zcoKkKme/CE4AiL2HtDT00UxiiJN25F6Kc6uA9hVY9MoktP56dGOgK3RAsTxNZBg\\n" \
	"Vw1PW95m8Sggcyi20EDz5isfg8sCL2GrI4R/9V0xIyklbi+UhXdjpGdfOwRJEpVQ\\n" \
	"2rOZXBs6WCLHS/frFakOHEmoH6mxAgMBAAECgYAH17eAWWi0Q6+cfmnZOhx0pnWa\\n" \
	"LHQhAfTC9sXocjSoiF0NRvE9iq32VxMbapIODOYFPZG8ywdFKGDkN+w4cU/XZBOq\\n" \
	"buczVAaTAuq/hQYtqSVSrQ6FPji0I0KaQQLN724Y10QExkmZ2mXOKZnBb/5b3biH\\n" \
	"ytOHw4e7lBaPoX5sAQJBAME/reb+9c+vwzogJAHvSK42kMY3WYg0hzOVKgtfGrTn\\n" \
	"Y+Rt6qEUMnZf3b5iSE31xg3gcPtqWasllLp/NtsP31ECQQDA4nb+A1bI0fKqtOGQ\\n" \
	"6SoL0IHRi4w8zB+HlNlGEzgaEThiSXwj8blPmr6TyB4BTDw4ejIPhS7s3W79vQDP\\n" \
	"0ExhAkBDcg8mtMtj3escKUWH61SJgP/MPlsgH30kcqYG6/1tL+j8O6SM7XijOdgx\\n" \
	"bynfE605AKFODhMXmXksEeQ6VnLRAkBavK5ZhFyZEBrmLz1FnEpJUIchelI4b5YN\\n" \
	"g/pKOtRTfvJVWlhp2Fbimds5ThS/a4uQzfsqze5rQyfpebYeDNFBAkBYEjVPN0ko\\n" \
	"MVe0huBhFd6r5cFsEmA/v2rRi+x5qEKO3Eu90+3G6JX9ey80MWIerA4OEqeaOm30\\n" \
	"YqJp1EZSGPvU\\n" \
	"-----END PRIVATE KEY-----\\n"
#define GCP_KEY_EC \
	"-----BEGIN PRIVATE KEY-----\\n" \
	"MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgsqmjbZ3IFtCDwWla\\n" \
	"GPjqS3bNT35CXqUVHvo9uSd3JQOhRANCAARuFlPcQrN9xMS3YbQDRP8iqOBDjIFW\\n" \
	"DfYIfySCMGbL3aqlw7v65JJGgRo4RE/w3qSPXTBAd9NMH5HIOxT/ZzXA\\n" \
	"-----END PRIVATE KEY-----\\n"
/* clang-format on */

#endif
